/**
 * The JSON that comes with a call, as the ledger in Redis has it: names that nearly every call repeats are one or two bytes.
 *
 * Of a usual call two thirds of that JSON are names. A control character never stands in JSON as `JSON.stringify` writes
 * it, so each stands for a name here, and what is none of ours stays what it is, byte for byte. A text that does not begin
 * with the mark is JSON as it was given: of entries that are older, and of those that the scripts make.
 * In the exported books it is always JSON.
 */

/** Before a packed text, in place of its first brace. */
const MARK = '\u0001'

/**
 * Each begins a member, and stands for the same bytes for ever: a list only grows, at its end. A name with a value is for
 * members that mostly have that one.
 */
const ONE_BYTE = [
  '"key":',
  '"upstream":',
  '"model":',
  '"endpoint":',
  '"run":',
  '"user":',
  '"labels":',
  '"provider_request_id":',
  '"answered_model":',
  '"tokens":',
  '"input":',
  '"output":',
  '"usage_source":"provider"',
  '"usage":',
  '"prompt_tokens":',
  '"completion_tokens":',
  '"total_tokens":',
  '"price_version":',
  '"cost":',
  '"cost_unit":"USD"',
  '"status":200',
  '"duration_ms":',
  '"ttfb_ms":',
] as const

const TWO_BYTES = [
  // Of the entry.
  '"upstream":"openai"',
  '"upstream":"anthropic"',
  '"upstream":"gemini"',
  '"endpoint":"chat"',
  '"endpoint":"responses"',
  '"endpoint":"messages"',
  '"endpoint":"embeddings"',
  '"endpoint":"completions"',
  '"tags":',
  '"priced_model":',
  '"service_tier":',
  '"service_tier":"default"',
  '"service_tier":"standard"',
  '"units":',
  '"beside":',
  '"by_model":',
  '"results":',
  '"unread_results":',
  '"usage_source":',
  '"usage_source":"estimate"',
  '"usage_flags":',
  '"unpriced_kinds":',
  '"cost_unit":',
  '"rate":',
  '"stated_cost":',
  '"charged_by":"provider"',
  '"trimmed":',
  '"cut":true',
  '"would":',
  '"status":',
  '"charged":',
  // Kinds that are counted.
  '"cached_input":',
  '"cache_write_5m":',
  '"cache_write_1h":',
  '"audio_input":',
  '"cached_audio_input":',
  '"image_input":',
  '"video_input":',
  '"audio_output":',
  '"image_output":',
  '"reasoning":',
  '"images":',
  '"seconds":',
  '"characters":',
  '"searches":',
  '"web_search":',
  '"file_search":',
  '"requests":',
  // Of providers' usage objects: OpenAI and those that speak as it does.
  '"prompt_tokens_details":',
  '"completion_tokens_details":',
  '"input_tokens":',
  '"output_tokens":',
  '"input_tokens_details":',
  '"output_tokens_details":',
  '"cached_tokens":',
  '"cached_tokens":0',
  '"audio_tokens":',
  '"audio_tokens":0',
  '"text_tokens":',
  '"text_tokens":0',
  '"image_tokens":',
  '"image_tokens":0',
  '"video_tokens":',
  '"video_tokens":0',
  '"cache_write_tokens":',
  '"cache_write_tokens":0',
  '"reasoning_tokens":',
  '"reasoning_tokens":0',
  '"accepted_prediction_tokens":',
  '"accepted_prediction_tokens":0',
  '"rejected_prediction_tokens":',
  '"rejected_prediction_tokens":0',
  '"prompt_token_details":',
  '"cached_tokens_details":',
  '"input_token_details":',
  '"output_token_details":',
  '"prompt_cache_hit_tokens":',
  '"prompt_cache_miss_tokens":',
  '"prompt_audio_seconds":',
  '"queue_time":',
  '"prompt_time":',
  '"completion_time":',
  '"total_time":',
  '"is_byok":',
  '"cost_details":',
  '"upstream_inference_cost":',
  '"upstream_inference_prompt_cost":',
  '"upstream_inference_completions_cost":',
  '"market_cost":',
  '"num_sources_used":',
  '"num_server_side_tools_used":',
  '"cost_in_usd_ticks":',
  '"context_details":',
  '"search_context_size":',
  // Anthropic.
  '"cache_creation_input_tokens":',
  '"cache_creation_input_tokens":0',
  '"cache_read_input_tokens":',
  '"cache_read_input_tokens":0',
  '"cache_creation":',
  '"ephemeral_5m_input_tokens":',
  '"ephemeral_5m_input_tokens":0',
  '"ephemeral_1h_input_tokens":',
  '"ephemeral_1h_input_tokens":0',
  '"server_tool_use":',
  '"web_search_requests":',
  '"web_fetch_requests":',
  '"inference_geo":',
  // Google.
  '"promptTokenCount":',
  '"candidatesTokenCount":',
  '"totalTokenCount":',
  '"thoughtsTokenCount":',
  '"cachedContentTokenCount":',
  '"toolUsePromptTokenCount":',
  '"promptTokensDetails":',
  '"candidatesTokensDetails":',
  '"cacheTokensDetails":',
  '"toolUsePromptTokensDetails":',
  '"modality":',
  '"modality":"TEXT"',
  '"tokenCount":',
  '"trafficType":',
  '"serviceTier":',
  '"total_input_tokens":',
  '"total_output_tokens":',
  '"total_cached_tokens":',
  '"total_thought_tokens":',
  '"total_tool_use_tokens":',
  '"input_tokens_by_modality":',
  // Bedrock and Cohere.
  '"inputTokens":',
  '"outputTokens":',
  '"totalTokens":',
  '"cacheReadInputTokens":',
  '"cacheWriteInputTokens":',
  '"cacheReadInputTokenCount":',
  '"cacheWriteInputTokenCount":',
  '"serverToolUsage":',
  '"billed_units":',
] as const

/** Not tab, line feed and carriage return: JSON that somebody else wrote may have them between its members. */
const SINGLES = [...Array(28).keys()].filter((code) => code > 1 && ![9, 10, 13].includes(code))
const [FIRST_LEAD, FIRST_SECOND, SECONDS] = [0x1c, 0x20, 95] as const

function codeAt(index: number): string {
  const lead = FIRST_LEAD + Math.floor(index / SECONDS)
  return String.fromCharCode(lead, FIRST_SECOND + (index % SECONDS))
}

const BY_CODE = new Map<string, string>([
  ...ONE_BYTE.map((member, index) => [String.fromCharCode(SINGLES[index] as number), member] as const),
  ...TWO_BYTES.map((member, index) => [codeAt(index), member] as const),
])
/** With the mark before it: a comma goes with the code, a brace stays. */
const BY_MEMBER = new Map<string, string>(
  [...BY_CODE].flatMap(([code, member]) => [
    [`,${member}`, code],
    [`{${member}`, `{${code}`],
  ]),
)

/** A member's name, and its value where that is a word, 0 or 200. */
const MEMBER = /[,{]"[A-Za-z_0-9]+":(?:(?:"[A-Za-z]+"|0|200)(?=[,}]))?/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are the codes
const CODE = /[\u0002-\u0008\u000b\u000c\u000e-\u001b]|[\u001c-\u001f][ -~]/g

/** `info`: JSON of an object, or "". What has none of the names stays as it is. */
export function packInfo(info: string): string {
  const packed = info.replace(MEMBER, codeOf)
  return packed.length < info.length && info.startsWith('{') ? MARK + packed.slice(1) : info
}

function codeOf(member: string): string {
  return BY_MEMBER.get(member) ?? codeOfName(member)
}

function codeOfName(member: string): string {
  const end = member.indexOf(':') + 1
  const code = BY_MEMBER.get(member.slice(0, end))
  return code === undefined ? member : code + member.slice(end)
}

/** The JSON that was packed, to the byte; what was not packed stays what it is. Throws TypeError for an unknown code. */
export function unpackInfo(text: string): string {
  if (!text.startsWith(MARK)) return text
  return `{${text.slice(1)}`.replace(CODE, (code, at: number, whole: string) => {
    const member = BY_CODE.get(code)
    if (member === undefined)
      throw new TypeError(
        `a ledger entry has the name ${JSON.stringify(code)}, which a newer gateway wrote: update this one`,
      )
    return whole[at - 1] === '{' ? member : `,${member}`
  })
}
