/** `auth.jwt` of tollgate.yaml, and what its schema alone cannot see. */
import * as z from 'zod'
import { shownField } from './describe-issues.ts'
import { httpUrl, NAME, name, oneOf, text } from './fields.ts'
import { isLoopback } from './loopback.ts'
import { listOf, mapOf } from './raw-fields.ts'
import type { YamlFile } from './read-yaml.ts'
import type { JwtIssuer } from './snapshot.ts'

/** Signatures by a key pair alone: with a shared secret whoever can check a token can make one. */
export const JWT_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const

const labelName = z.string().regex(NAME, 'is no label name; use letters, digits and . _ : @ / + - (at most 128)')

export const jwtIssuer = z.strictObject({
  issuer: text('the `iss` of its tokens').describe('`iss` of its tokens, to the letter'),
  audience: text('the `aud` of its tokens').describe('`aud` of its tokens, or one of them'),
  jwks_url: httpUrl(false).describe('where its keys are; https, or this machine'),
  algorithms: z
    .array(oneOf(JWT_ALGORITHMS))
    .min(1)
    .describe('signatures that are accepted, of RS, PS, ES and EdDSA')
    .prefault(['RS256']),
  account_claim: text('a claim').describe('claim with the account’s id: the issuer may name any account').optional(),
  account: name('account name')
    .describe('account of tokens without that claim, or, where no claim is named, of all; left out: refused')
    .optional(),
  key_claim: text('a claim')
    .describe('claim that stands for the key in the ledger, in metrics and in matches')
    .prefault('sub'),
  labels: z.record(labelName, text('a claim')).describe('labels and the claims that have their values').prefault({}),
})

export function buildIssuer(read: z.output<typeof jwtIssuer>): JwtIssuer {
  return {
    issuer: read.issuer,
    audience: read.audience,
    jwksUrl: read.jwks_url,
    algorithms: read.algorithms,
    account: read.account,
    accountClaim: read.account_claim,
    keyClaim: read.key_claim,
    labels: read.labels,
  }
}

/** Works on the value as read. */
export function checkIssuers(file: YamlFile, value: unknown): void {
  const seen = new Set<unknown>()
  listOf(mapOf(mapOf(value)['auth'])['jwt']).forEach((item, i) => {
    const { issuer, account, account_claim: claim, jwks_url: url } = mapOf(item)
    const path = ['auth', 'jwt', i]
    const say = (field: string, message: string) =>
      file.report([...path, field], 'value', `${shownField([...path, field])}: ${message}`)
    if (issuer !== undefined && seen.has(issuer)) say('issuer', 'stands twice; one entry an issuer')
    seen.add(issuer)
    if (account === undefined && claim === undefined)
      file.report(path, 'value', `${shownField(path)}: needs account_claim or account`)
    if (typeof url !== 'string' || !URL.canParse(url)) return
    const { protocol, hostname } = new URL(url)
    if (protocol === 'http:' && !isLoopback(hostname)) say('jwks_url', 'is not encrypted; write it with https')
  })
}
