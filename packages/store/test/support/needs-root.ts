/** Whether this process may mount, make devices and give files away. */
export const IS_ROOT: boolean = process.geteuid?.() === 0;

/** For the name of a test that is skipped where it may not. */
export const NEEDS_ROOT: string = IS_ROOT ? "" : " (needs root)";
