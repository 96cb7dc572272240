/**
 * Paths of members, as a tree that a scan walks along: `usage`, `meta.billed_units`, `predictions.*.statistics` (of each
 * element of an array), `*.details` (of each element of an answer that is an array), `data.#` (how many elements it has).
 */

export interface PathNode {
  /** Members that lead on. */
  readonly names: ReadonlyMap<string, PathNode>
  /** Each element of an array. */
  readonly each: PathNode | undefined
  /** The path that ends here: its value is wanted whole. */
  readonly path: string | undefined
  /** It leads through an array, so there may be many values. */
  readonly isList: boolean
  /** The path under which elements of this array are counted. */
  readonly count: string | undefined
}

interface Growing extends PathNode {
  readonly names: Map<string, Growing>
  each: Growing | undefined
  path: string | undefined
  count: string | undefined
}

/** The lists of names are constants of the providers: each is read once. */
const trees = new WeakMap<readonly string[], PathNode>()

/** Throws where one path is the beginning of another: its value has the other's already. */
export function pathTree(paths: readonly string[]): PathNode {
  let tree = trees.get(paths)
  if (!tree) {
    tree = buildTree(paths)
    trees.set(paths, tree)
  }
  return tree
}

function buildTree(paths: readonly string[]): PathNode {
  const root = newNode(false)
  for (const path of new Set(paths)) {
    let node = root
    const segments = path.split('.')
    const counts = segments.at(-1) === '#'
    for (const segment of counts ? segments.slice(0, -1) : segments) {
      node = step(node, segment)
      if (node.path !== undefined) throw new Error(`"${path}" is a part of "${node.path}"`)
    }
    if (counts) {
      node.count = path
      node.each ??= newNode(true)
      continue
    }
    if (node.names.size > 0 || node.each) throw new Error(`"${path}" is the beginning of another path`)
    node.path = path
  }
  return root
}

function step(node: Growing, segment: string): Growing {
  if (segment === '*') {
    node.each ??= newNode(true)
    return node.each
  }
  const known = node.names.get(segment)
  if (known) return known
  const next = newNode(node.isList)
  node.names.set(segment, next)
  return next
}

function newNode(isList: boolean): Growing {
  return { names: new Map(), each: undefined, path: undefined, isList, count: undefined }
}
