/**
 * The most that one image costs, in tokens: width × height / 750 after scaling, so at most about 1,600; models from
 * Opus 4.7 on take up to 2,576 pixels on the long edge and 4,784 tokens.
 * Source: platform.claude.com/docs/en/build-with-claude/vision, "Calculate image costs".
 */
const SMALL = 1600
const LARGE = 4784
const SMALL_MODELS = /claude-(3|instant|2)|(sonnet|opus|haiku)-4(-[0-6])?(-20\d{6}|$|@|-latest|-v\d)/

export function anthropicImageTokens(model: string): number {
  return SMALL_MODELS.test(model) ? SMALL : LARGE
}
