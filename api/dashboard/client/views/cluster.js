export function ClusterView() { return null; }
