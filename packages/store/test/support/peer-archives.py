"""Reads archives with GNU tar and with tarfile, for a comparison with another reader.

Takes a directory with `archives/N` and, for those that the other reader took, trees `ours/N`, and
on standard input one line of JSON for each N: the directories that its archive does not describe.
Prints one line of JSON for each: how tar ended and what it said, the paths that differ between its
tree and the other, and the members that tarfile sees.
"""
import hashlib, json, os, shutil, stat, subprocess, sys, tarfile

root = os.fsencode(sys.argv[1])
TAR = ["tar", "-x", "-p", "--same-owner", "--numeric-owner", "--delay-directory-restore", "--xattrs",
       "--xattrs-include=user.*", "-f"]


def snapshot(top, implied):
    tree, inodes = {}, {}
    def visit(path, name):
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        first = inodes.setdefault(status.st_ino, name)
        entry = [kind, first if kind != stat.S_IFDIR else name]
        if name not in implied:
            entry += [stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns]
            entry += sorted((key, os.getxattr(path, key, follow_symlinks=False).hex())
                            for key in os.listxattr(path, follow_symlinks=False))
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                entry.append(hashlib.sha256(file.read()).hexdigest())
        elif kind == stat.S_IFLNK:
            entry.append(os.readlink(path))
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            entry.append(status.st_rdev)
        tree[name] = entry
        if kind == stat.S_IFDIR:
            for child in sorted(os.listdir(path)):
                visit(os.path.join(path, child), name + b"/" + child if name else child)
    visit(top, b"")
    return tree


def members(path):
    found = []
    try:
        with tarfile.open(path, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                found.append([
                    os.fsencode(member.name).decode("latin-1"), {b"\0": "0", b"7": "0"}.get(member.type, member.type.decode("latin-1")),
                    member.size if member.isreg() else 0, member.mode & 0o7777, member.uid, member.gid, int(member.mtime // 1),
                    os.fsencode(member.linkname).decode("latin-1")])
        return found, None
    except Exception as error:
        return found, repr(error)


for line in sys.stdin:
    job = json.loads(line)
    name = os.fsencode(str(job["n"]))
    archive = os.path.join(root, b"archives", name)
    ours = os.path.join(root, b"ours", name)
    gnu = os.path.join(root, b"gnu", name)
    os.makedirs(gnu)
    os.chmod(gnu, 0o755)
    tar = subprocess.run(TAR + [archive, "-C", gnu], capture_output=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    answer = {"n": job["n"], "exit": tar.returncode, "said": tar.stderr.decode("latin-1")[:2000]}
    answer["members"], answer["error"] = members(archive)
    if job["taken"] and tar.returncode == 0:
        implied = {path.encode("latin-1") for path in job["implied"]}
        one, other = snapshot(ours, implied), snapshot(gnu, implied)
        answer["differ"] = [
            [path.decode("latin-1"), repr(one.get(path)), repr(other.get(path))]
            for path in sorted(one.keys() | other.keys()) if one.get(path) != other.get(path)]
    print(json.dumps(answer))
    shutil.rmtree(gnu)
