const NAME = "ns";

/** Tells a mirror which registry is meant, by the query that containerd has for it. */
export function withNamespace(url: URL, namespace: string | undefined): URL {
  if (namespace !== undefined && !url.searchParams.has(NAME)) {
    url.search += `${url.search === "" ? "?" : "&"}${NAME}=${encodeURIComponent(namespace)}`;
  }
  return url;
}

/** Which registry a URL says that is meant. */
export function namespaceOf(url: URL): string | undefined {
  return url.searchParams.get(NAME) ?? undefined;
}
