/** An issuer of tokens on a loopback port, with keys of its own. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'

export interface TokenIssuer {
  readonly url: string
  readonly jwksUrl: string
  /** How often its keys were asked for. */
  readonly fetches: number
  /** Another key in the place of those that it publishes. */
  rotate(kid: string): Promise<void>
  /** Signed by the key of that name, published or not. */
  sign(payload: JWTPayload, options?: { readonly kid?: string; readonly expiresIn?: string }): Promise<string>
  /** What it answers in place of its keys. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  close(): Promise<void>
}

export async function startTokenIssuer(): Promise<TokenIssuer> {
  const privateKeys = new Map<string, CryptoKey>()
  let published: object[] = []
  let fetches = 0
  const make = async (kid: string): Promise<object> => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    privateKeys.set(kid, privateKey)
    return { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
  }
  const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    fetches++
    if (issuer.answer) return issuer.answer(request, response)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: published }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: TokenIssuer = {
    url,
    jwksUrl: `${url}/keys`,
    answer: undefined,
    get fetches() {
      return fetches
    },
    async rotate(kid) {
      published = [await make(kid)]
    },
    async sign(payload, { kid = 'k1', expiresIn = '5m' } = {}) {
      if (!privateKeys.has(kid)) await make(kid)
      return new SignJWT({ iss: url, aud: 'tollgate', ...payload })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuedAt()
        .setExpirationTime(expiresIn)
        .sign(privateKeys.get(kid) as CryptoKey)
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  await issuer.rotate('k1')
  return issuer
}
