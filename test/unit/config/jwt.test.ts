/** `auth.jwt` and `defaults`: what is refused, and where it stands. */
import { expect, test } from 'vitest'
import { PLAN, problemLines } from './config-texts.ts'

const jwt = (fields: string) => ({
  tollgate: `auth:\n  jwt:\n    - { issuer: a, audience: b, ${fields} }\n`,
})
const URL = 'jwks_url: "https://x.example/keys"'

test.each([
  ['no account', jwt(URL), ['t.yaml:3:7: auth.jwt[0]: needs account_claim or account']],
  [
    'keys fetched in the clear',
    jwt('jwks_url: "http://x.example/keys", account: a'),
    ['t.yaml:3:43: auth.jwt[0].jwks_url: is not encrypted; write it with https'],
  ],
  ['keys on this machine', jwt('jwks_url: "http://127.0.0.1:1/keys", account: a'), []],
  [
    'no signature',
    jwt(`${URL}, account: a, algorithms: [none]`),
    [expect.stringMatching(/^t\.yaml:3:\d+: auth\.jwt\[0\]\.algorithms\[0\]: "none" is not one of RS256/)],
  ],
  [
    'a shared secret',
    jwt(`${URL}, account: a, algorithms: [HS256]`),
    [expect.stringMatching(/^t\.yaml:3:\d+: auth\.jwt\[0\]\.algorithms\[0\]: "HS256" is not one of RS256/)],
  ],
  [
    'an issuer twice',
    { tollgate: `auth:\n  jwt:\n${`    - { issuer: a, audience: b, ${URL}, account: a }\n`.repeat(2)}` },
    ['t.yaml:4:17: auth.jwt[1].issuer: stands twice; one entry an issuer'],
  ],
  [
    'a default plan that is not there',
    { entitlements: `${PLAN}defaults: { plan: prp }\n` },
    ['e.yaml:3:19: defaults.plan: unknown plan "prp"; did you mean "pro"?'],
  ],
  ['a default plan', { entitlements: `${PLAN}defaults: { plan: pro }\n` }, []],
])('%s', (_name, texts, lines) => {
  expect(problemLines(texts)).toEqual(lines)
})
