/** What a part of the bench has to say. */
export interface Report {
  /** Goes into the JSON. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Whether all targets are met. */
  readonly isGood: boolean;
  /** More files for the output folder, by name. */
  readonly files?: Readonly<Record<string, string>>;
}
