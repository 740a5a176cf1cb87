/*
 * Runs a program and stops before each system call that changes something below given directories,
 * in any of its threads and children: one step. Each step is told on descriptor 3, as
 * "call path\n" with the path escaped, and what is to become of it is read from descriptor 4:
 *
 *   c        goes on
 *   k        kills the program before the call takes effect
 *   r<N>     skips the call, which answers N (a negated error number, or what a success answers)
 *   m<N>     goes on with at most N bytes, if the call has a number of bytes to read or to write
 *
 * Mounting and unmounting always count, wherever they happen. Opening counts where it makes or
 * empties a file. All threads stand still only for their own steps, so one step is on its way at a
 * time: the others wait at theirs.
 *
 *   step-tracer [--reads] DIRECTORY... -- PROGRAM ARGUMENT...
 *
 * With --reads, reading what lies there is a step as well.
 *
 * It ends as the program did, with 128 and the signal's number where a signal ended it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/unistd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "skipping a call is written for x86-64"
#endif

/* Where the arguments of a call name what it changes: a descriptor, a path, or a path at one. */
enum shape { FD, PATH, AT, ANYWHERE };

struct call {
  int number;
  const char *name;
  enum shape shape;
  int at;     /* index of the first of these arguments */
  int flags;  /* for calls that open: index of their flags; 0 for others */
  int length; /* index of the argument that is a number of bytes; 0 for none */
};

static const struct call CALLS[] = {
    {__NR_open, "open", PATH, 0, 1},
    {__NR_openat, "openat", AT, 0, 2},
    {__NR_openat2, "openat2", AT, 0, -1},
    {__NR_creat, "creat", PATH, 0, 0},
    {__NR_mkdir, "mkdir", PATH, 0, 0},
    {__NR_mkdirat, "mkdirat", AT, 0, 0},
    {__NR_rmdir, "rmdir", PATH, 0, 0},
    {__NR_rename, "rename", PATH, 1, 0},
    {__NR_renameat, "renameat", AT, 2, 0},
    {__NR_renameat2, "renameat2", AT, 2, 0},
    {__NR_link, "link", PATH, 1, 0},
    {__NR_linkat, "linkat", AT, 2, 0},
    {__NR_symlink, "symlink", PATH, 1, 0},
    {__NR_symlinkat, "symlinkat", AT, 1, 0},
    {__NR_unlink, "unlink", PATH, 0, 0},
    {__NR_unlinkat, "unlinkat", AT, 0, 0},
    {__NR_mknod, "mknod", PATH, 0, 0},
    {__NR_mknodat, "mknodat", AT, 0, 0},
    {__NR_write, "write", FD, 0, 0, 2},
    {__NR_pwrite64, "pwrite64", FD, 0, 0, 2},
    {__NR_writev, "writev", FD, 0, 0},
    {__NR_pwritev, "pwritev", FD, 0, 0},
    {__NR_pwritev2, "pwritev2", FD, 0, 0},
    {__NR_copy_file_range, "copy_file_range", FD, 2, 0, 4},
    {__NR_sendfile, "sendfile", FD, 0, 0, 3},
    {__NR_fallocate, "fallocate", FD, 0, 0},
    {__NR_ftruncate, "ftruncate", FD, 0, 0},
    {__NR_truncate, "truncate", PATH, 0, 0},
    {__NR_fsync, "fsync", FD, 0, 0},
    {__NR_fdatasync, "fdatasync", FD, 0, 0},
    {__NR_syncfs, "syncfs", FD, 0, 0},
    {__NR_sync_file_range, "sync_file_range", FD, 0, 0},
    {__NR_chmod, "chmod", PATH, 0, 0},
    {__NR_fchmod, "fchmod", FD, 0, 0},
    {__NR_fchmodat, "fchmodat", AT, 0, 0},
    {452, "fchmodat2", AT, 0, 0},
    {__NR_chown, "chown", PATH, 0, 0},
    {__NR_lchown, "lchown", PATH, 0, 0},
    {__NR_fchown, "fchown", FD, 0, 0},
    {__NR_fchownat, "fchownat", AT, 0, 0},
    {__NR_utimensat, "utimensat", AT, 0, 0},
    {__NR_setxattr, "setxattr", PATH, 0, 0},
    {__NR_lsetxattr, "lsetxattr", PATH, 0, 0},
    {__NR_fsetxattr, "fsetxattr", FD, 0, 0},
    {463, "setxattrat", AT, 0, 0},
    {__NR_removexattr, "removexattr", PATH, 0, 0},
    {__NR_lremovexattr, "lremovexattr", PATH, 0, 0},
    {__NR_fremovexattr, "fremovexattr", FD, 0, 0},
    {__NR_mount, "mount", ANYWHERE, 1, 0},
    {__NR_umount2, "umount2", ANYWHERE, 0, 0},
    {__NR_fsmount, "fsmount", ANYWHERE, -1, 0},
    {__NR_move_mount, "move_mount", ANYWHERE, 3, 0},
    {__NR_mount_setattr, "mount_setattr", ANYWHERE, 1, 0},
    /* The last are the reads. */
    {__NR_read, "read", FD, 0, 0, 2},
    {__NR_pread64, "pread64", FD, 0, 0, 2},
};
#define READ_COUNT 2
#define MAX_CALLS (sizeof CALLS / sizeof CALLS[0])
static size_t call_count = MAX_CALLS - READ_COUNT;

static void fail(const char *what) {
  perror(what);
  exit(125);
}

/* Has the kernel stop the program at these calls and at no other. */
static void install_filter(void) {
  struct sock_filter filter[MAX_CALLS + 3];
  size_t n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < call_count; i++)
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, call_count - i, 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) fail("seccomp");
}

static int read_path(pid_t pid, uint64_t address, char *out, size_t size) {
  size_t done = 0;
  while (done + 1 < size) {
    /* Not over the end of a page, behind which there may be nothing. */
    size_t wanted = 4096 - (address + done) % 4096;
    if (wanted > size - 1 - done) wanted = size - 1 - done;
    struct iovec local = {out + done, wanted}, remote = {(void *)(address + done), wanted};
    ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (got <= 0) return -1;
    if (memchr(out + done, 0, (size_t)got) != NULL) return 0;
    done += (size_t)got;
  }
  out[done] = 0;
  return 0;
}

static int path_of_descriptor(pid_t pid, int fd, char *out, size_t size) {
  char link[64];
  if (fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", pid);
  else snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, fd);
  ssize_t length = readlink(link, out, size - 1);
  if (length < 0) return -1;
  out[length] = 0;
  return 0;
}

static int path_of_call(pid_t pid, const struct call *call, const uint64_t *args, char *out, size_t size) {
  char name[4096];
  out[0] = 0;
  if (call->at < 0) return 0;
  if (call->shape == FD) return path_of_descriptor(pid, (int)args[call->at], out, size);
  int is_at = call->shape == AT;
  if (read_path(pid, args[call->at + is_at], name, sizeof name) != 0) name[0] = 0;
  if (name[0] == '/') {
    snprintf(out, size, "%s", name);
    return 0;
  }
  if (path_of_descriptor(pid, is_at ? (int)args[call->at] : AT_FDCWD, out, size) != 0) return -1;
  size_t length = strlen(out);
  if (name[0] != 0) snprintf(out + length, size - length, "/%s", name);
  return 0;
}

static int opens_to_write(pid_t pid, const struct call *call, const uint64_t *args) {
  if (call->flags == 0) return 1;
  uint64_t flags = 0;
  if (call->flags > 0) flags = args[call->flags];
  else {
    struct iovec local = {&flags, sizeof flags}, remote = {(void *)args[2], sizeof flags};
    if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != sizeof flags) return 0;
  }
  return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static int lies_below(const char *path, char **directories) {
  for (; *directories != NULL; directories++) {
    size_t length = strlen(*directories);
    if (strncmp(path, *directories, length) == 0 && (path[length] == '/' || path[length] == 0)) return 1;
  }
  return 0;
}

static void tell(const char *name, const char *path) {
  char line[3 * 8192], *end = line;
  end += sprintf(end, "%s ", name);
  for (const unsigned char *c = (const unsigned char *)path; *c != 0 && end < line + sizeof line - 8; c++)
    end += (*c < ' ' || *c == '\\' || *c > '~') ? sprintf(end, "\\x%02x", *c) : sprintf(end, "%c", *c);
  *end++ = '\n';
  for (char *at = line; at < end;) {
    ssize_t written = write(3, at, (size_t)(end - at));
    if (written < 0 && errno != EINTR) exit(125);
    if (written > 0) at += written;
  }
}

/* Answers 'c', 'k', 'm' or 'r', the last two with its number in *value. Whoever is gone wants it to end. */
static char ask(long *value) {
  char line[64];
  size_t length = 0;
  while (length < sizeof line - 1) {
    ssize_t got = read(4, line + length, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 'k';
    if (line[length++] == '\n') break;
  }
  line[length] = 0;
  *value = strtol(line + 1, NULL, 10);
  return line[0];
}

static void skip_call(pid_t pid, long value) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
  registers.orig_rax = (unsigned long long)-1;
  registers.rax = (unsigned long long)value;
  ptrace(PTRACE_SETREGS, pid, 0, &registers);
}

static void shorten_call(pid_t pid, const struct call *call, long most) {
  struct user_regs_struct registers;
  if (call->length == 0 || ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
  unsigned long long *const args[] = {&registers.rdi, &registers.rsi, &registers.rdx, &registers.r10, &registers.r8};
  if (*args[call->length] <= (unsigned long long)most) return;
  *args[call->length] = (unsigned long long)most;
  ptrace(PTRACE_SETREGS, pid, 0, &registers);
}

static void at_call(pid_t leader, pid_t pid, char **directories) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
  const uint64_t args[] = {registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9};
  const struct call *call = NULL;
  for (size_t i = 0; i < call_count; i++)
    if ((unsigned long long)CALLS[i].number == registers.orig_rax) call = &CALLS[i];
  if (call == NULL || !opens_to_write(pid, call, args)) return;
  char path[8192];
  if (path_of_call(pid, call, args, path, sizeof path) != 0) return;
  if (call->shape != ANYWHERE && !lies_below(path, directories)) return;
  long value = 0;
  tell(call->name, path);
  switch (ask(&value)) {
    case 'k': kill(leader, SIGKILL); break;
    case 'm': shorten_call(pid, call, value); break;
    case 'r': skip_call(pid, value); break;
    default: break;
  }
}

int main(int argc, char **argv) {
  int first = argc > 1 && strcmp(argv[1], "--reads") == 0 ? 2 : 1, split = first;
  if (first == 2) call_count = MAX_CALLS;
  while (split < argc && strcmp(argv[split], "--") != 0) split++;
  if (split + 1 >= argc) {
    fprintf(stderr, "usage: step-tracer [--reads] DIRECTORY... -- PROGRAM ARGUMENT...\n");
    return 125;
  }
  argv[split] = NULL;
  pid_t leader = fork();
  if (leader < 0) fail("fork");
  if (leader == 0) {
    close(3);
    close(4);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) fail("traceme");
    raise(SIGSTOP);
    install_filter();
    execvp(argv[split + 1], argv + split + 1);
    fail(argv[split + 1]);
  }
  int status;
  if (waitpid(leader, &status, 0) != leader || !WIFSTOPPED(status)) fail("start");
  long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                 PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SETOPTIONS, leader, 0, options) != 0) fail("options");
  ptrace(PTRACE_CONT, leader, 0, 0);
  int code = 125;
  for (;;) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return code;
    if (!WIFSTOPPED(status)) {
      if (pid == leader) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      continue;
    }
    int event = status >> 16, signal = WSTOPSIG(status), pass = 0;
    if (event == PTRACE_EVENT_SECCOMP) at_call(leader, pid, argv + first);
    /* A new thread begins with a stop of its own; every other signal is the program's. */
    else if (event == 0 && signal != SIGTRAP && signal != SIGSTOP) pass = signal;
    ptrace(PTRACE_CONT, pid, 0, pass);
  }
}
