/** A CPU profile as V8 writes it, summed by function. */

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface FunctionTime {
  readonly name: string
  /** file:line, relative to the root where it is ours; "" for the engine's own, such as (garbage collector). */
  readonly place: string
  /** Over the whole profile. */
  readonly selfMicros: number
  /** With everything it called; a recursive function counts once. */
  readonly totalMicros: number
}

/** `root`: file URL of the project, cut from the places. */
export function functionTimes({ nodes, samples, timeDeltas }: CpuProfile, root: string): FunctionTime[] {
  const selfOfNode = new Map<number, number>()
  samples.forEach((id, i) => {
    selfOfNode.set(id, (selfOfNode.get(id) ?? 0) + (timeDeltas[i] ?? 0))
  })
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const sums = new Map<string, { name: string; place: string; selfMicros: number; totalMicros: number }>()
  const visit = (id: number, above: ReadonlySet<string>): number => {
    const node = byId.get(id) as CpuProfile['nodes'][number]
    const { functionName, url, lineNumber } = node.callFrame
    const place = url === '' ? '' : `${url.replace(root, '')}:${lineNumber + 1}`
    const key = `${functionName} ${place}`
    const self = selfOfNode.get(id) ?? 0
    const below = new Set(above).add(key)
    let total = self
    for (const child of node.children ?? []) total += visit(child, below)
    const sum = sums.get(key) ?? { name: functionName || '(anonymous)', place, selfMicros: 0, totalMicros: 0 }
    sum.selfMicros += self
    if (!above.has(key)) sum.totalMicros += total
    sums.set(key, sum)
    return total
  }
  visit((nodes[0] as CpuProfile['nodes'][number]).id, new Set())
  return [...sums.values()]
}
