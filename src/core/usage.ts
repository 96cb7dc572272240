/**
 * Kinds of token, disjoint: each token that the provider billed stands in exactly one of them.
 * `reasoning` is no kind: it is a part of `output`, shown beside it.
 */
export const TOKEN_KINDS = [
  'input',
  'cached_input',
  'cache_write_5m',
  'cache_write_1h',
  'audio_input',
  'cached_audio_input',
  'image_input',
  'video_input',
  'output',
  'audio_output',
  'image_output',
] as const
export type TokenKind = (typeof TOKEN_KINDS)[number]

/** Things that are billed by the piece and not by the token. */
export const COUNTED_KINDS = [
  'images',
  'seconds',
  'characters',
  'searches',
  'web_search',
  'file_search',
  'requests',
] as const
export type CountedKind = (typeof COUNTED_KINDS)[number]

export type TokenCounts = { readonly [kind in TokenKind]?: number }
export type UnitCounts = { readonly [kind in CountedKind]?: number }

/** One of several runs of a model inside one answer (a compaction, an adviser), billed as a call of its own. */
export interface UsagePass {
  /** undefined: the model that the call names. */
  readonly model: string | undefined
  readonly tokens: TokenCounts
}

/** What one call used, as the provider reported it. Zero counts may be left out. */
export interface Usage {
  readonly tokens: TokenCounts
  /** Of an answer that took several; `tokens` is their sum. */
  readonly passes?: readonly UsagePass[]
  /** What models of the provider's tools used, billed at their own prices on top of `tokens`, and not in them. */
  readonly beside?: readonly (UsagePass & { readonly model: string })[]
  /** Part of `tokens.output` (and never added to it). Absent where the provider does not say. */
  readonly reasoning?: number
  readonly units?: UnitCounts
  /** The provider's own object(s), untouched, for the ledger. */
  readonly raw: unknown
  /** Set where the provider contradicted itself and a part was clamped to its whole. */
  readonly flags?: readonly string[]
}

/** The kind whose rate a kind without one of its own takes under `unpriced_kind: parent`. */
export const PARENT_KIND: { readonly [kind in TokenKind]: 'input' | 'output' } = {
  input: 'input',
  cached_input: 'input',
  cache_write_5m: 'input',
  cache_write_1h: 'input',
  audio_input: 'input',
  cached_audio_input: 'input',
  image_input: 'input',
  video_input: 'input',
  output: 'output',
  audio_output: 'output',
  image_output: 'output',
}
