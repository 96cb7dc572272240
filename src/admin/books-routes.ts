/** The books as Redis knows them, for who checks the files. */
import { NAME } from '../core/name-or-hash.ts'
import { unknown } from './admin-error.ts'
import { type Route, route } from './route.ts'
import { booksHeadAnswer, booksQuery, pageOf } from './schemas.ts'

const heads = route({
  method: 'GET',
  path: '/books',
  role: 'viewer',
  summary: 'How far the exported books of each account are, by directory: the last entry that is on disk, and its hash',
  query: booksQuery,
  answer: pageOf(booksHeadAnswer),
  async handle({ admin, query: { account, after, limit } }) {
    if (account !== undefined) {
      if (!NAME.test(account)) throw unknown('account', account)
      return { status: 200, body: { items: await admin.books.of(account), next: null } }
    }
    const page = await admin.books.page(after, limit)
    return { status: 200, body: { items: page.heads, next: page.next } }
  },
})

export const BOOKS_ROUTES: readonly Route[] = [heads]
