/** Of the flags of this process those that a thread needs: others it may refuse to start with. */
export function importConditions(flags: readonly string[]): string[] {
  return flags.filter((flag, index) => {
    const isValue = index > 0 && /^(?:--conditions|-C)$/.test(flags[index - 1] ?? "");
    return isValue || /^(?:--conditions|-C)(?:=|$)/.test(flag);
  });
}
