import { listMembers, type MemberListing, metadataOf } from "./container-members.ts";
import type { PodContext } from "./pod-context.ts";
import { listPods, type PodStatus, removeAllOf } from "./pod-sandbox.ts";
import type { WaitOptions } from "./ports.ts";

/** What {@link restorePods} found. */
export interface RestoredPods {
  readonly pods: readonly PodStatus[];
  /** IDs of containers that were removed, because their pod could not be restored. */
  readonly removed: readonly string[];
  /** IDs of containers that belong to no pod, and were left alone. */
  readonly ignored: readonly string[];
  /** Records that cannot be read, and were left alone. */
  readonly damaged: readonly Error[];
}

/**
 * Takes up what an earlier process left: half a pod, one without a readable infra container, is
 * removed whole; containers of other programs are left alone.
 */
export async function restorePods(
  context: PodContext,
  options: WaitOptions,
): Promise<RestoredPods> {
  const before = await listMembers(context);
  const removed: string[] = [];
  for (const podId of halfPods(before)) {
    options.signal?.throwIfAborted();
    if (await isWholeNow(context, podId)) continue;
    context.onWarning(`${podId}: removed, since its infra container cannot be restored`);
    removed.push(...(await removeAllOf(context, podId, options)));
  }
  const isRemoved = new Set(removed);
  const left = [...before.foreign, ...before.unreadable].map((record) => record.id);
  return {
    pods: await listPods(context),
    removed,
    ignored: left.filter((id) => !isRemoved.has(id)),
    damaged: before.damaged,
  };
}

// It may have been made while the records were listed.
async function isWholeNow(context: PodContext, podId: string): Promise<boolean> {
  const record = await context.store.containers.find(podId);
  return record?.id === podId && metadataOf(record)?.podId === podId;
}

// A record that the store could not read may be the very infra container that is missed here, and
// the store may yet repair it: nothing is removed on such ground.
function halfPods({ members, damaged }: MemberListing): ReadonlySet<string> {
  if (damaged.length > 0) return new Set();
  const whole = new Set(
    members.filter((member) => member.record.id === member.metadata.podId).map((m) => m.record.id),
  );
  const podIds = new Set(members.map((member) => member.metadata.podId));
  return podIds.difference(whole);
}
