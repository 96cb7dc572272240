import { describe, expect, test } from 'vitest'
import {
  type Allowance,
  type AllowanceTerms,
  allowanceChanges,
  allowancePeriods,
  type FoundGrant,
  makeAllowance,
} from '../../../src/core/allowance.ts'

const TERMS: AllowanceTerms = {
  unit: 'USD',
  scale: 9,
  amountAtoms: 100n,
  every: 'month',
  timezone: 'UTC',
  anchor: 1,
  funding: 'promotional',
  rollover: undefined,
}

function allowance(more: Partial<AllowanceTerms> = {}, onChange: Allowance['onChange'] = 'keep'): Allowance {
  return makeAllowance({ ...TERMS, ...more }, onChange)
}

const ms = (text: string): number => Date.parse(text)

describe('periods', () => {
  test.each<[what: string, more: Partial<AllowanceTerms>, at: string, current: string[], next: string[]]>([
    [
      'a day',
      { every: 'day' },
      '2026-02-28T12:00Z',
      ['2026-02-28', '02-28T00', '03-01T00'],
      ['2026-03-01', '03-01T00', '03-02T00'],
    ],
    [
      'a leap day',
      { every: 'day' },
      '2028-02-28T12:00Z',
      ['2028-02-28', '02-28T00', '02-29T00'],
      ['2028-02-29', '02-29T00', '03-01T00'],
    ],
    [
      'a day of 23 hours',
      { every: 'day', timezone: 'Europe/Paris' },
      '2026-03-28T23:30Z',
      ['2026-03-29', '03-28T23', '03-29T22'],
      ['2026-03-30', '03-29T22', '03-30T22'],
    ],
    [
      'a day of 25 hours',
      { every: 'day', timezone: 'Europe/Paris' },
      '2026-10-25T12:00Z',
      ['2026-10-25', '10-24T22', '10-25T23'],
      ['2026-10-26', '10-25T23', '10-26T23'],
    ],
    [
      'a week from Monday',
      { every: 'week' },
      '2026-11-26T12:00Z',
      ['2026-W48', '11-23T00', '11-30T00'],
      ['2026-W49', '11-30T00', '12-07T00'],
    ],
    [
      'a week from Sunday',
      { every: 'week', anchor: 7 },
      '2026-11-26T12:00Z',
      ['2026-W47', '11-22T00', '11-29T00'],
      ['2026-W48', '11-29T00', '12-06T00'],
    ],
    ['a month', {}, '2026-11-26T12:00Z', ['2026-11', '11-01T00', '12-01T00'], ['2026-12', '12-01T00', '01-01T00']],
    [
      'the first instant of a month',
      {},
      '2026-12-01T00:00Z',
      ['2026-12', '12-01T00', '01-01T00'],
      ['2027-01', '01-01T00', '02-01T00'],
    ],
    [
      'a month from the 31st: 28',
      { anchor: 31 },
      '2026-02-10T00:00Z',
      ['2026-01', '01-31T00', '02-28T00'],
      ['2026-02', '02-28T00', '03-31T00'],
    ],
    [
      'a month from the 31st: 29',
      { anchor: 31 },
      '2028-02-29T00:00Z',
      ['2028-02', '02-29T00', '03-31T00'],
      ['2028-03', '03-31T00', '04-30T00'],
    ],
    [
      'a month from the 31st: 30',
      { anchor: 31 },
      '2026-04-30T00:00Z',
      ['2026-04', '04-30T00', '05-31T00'],
      ['2026-05', '05-31T00', '06-30T00'],
    ],
    [
      'a month through the change of clocks',
      { timezone: 'America/New_York' },
      '2026-03-15T00:00Z',
      ['2026-03', '03-01T05', '04-01T04'],
      ['2026-04', '04-01T04', '05-01T04'],
    ],
    [
      'a quarter',
      { every: 'quarter' },
      '2026-11-26T12:00Z',
      ['2026-Q4', '10-01T00', '01-01T00'],
      ['2027-Q1', '01-01T00', '04-01T00'],
    ],
    [
      'a quarter from the 15th',
      { every: 'quarter', anchor: 15 },
      '2026-10-14T12:00Z',
      ['2026-Q3', '07-15T00', '10-15T00'],
      ['2026-Q4', '10-15T00', '01-15T00'],
    ],
    [
      'a year',
      { every: 'year' },
      '2026-11-26T12:00Z',
      ['2026', '01-01T00', '01-01T00'],
      ['2027', '01-01T00', '01-01T00'],
    ],
  ])('%s', (_, more, at, current, next) => {
    const shown = (time: number) => new Date(time).toISOString().slice(5, 13)
    const periods = allowancePeriods(allowance(more), ms(at))
    expect(periods.map(({ name, startMs, endMs }) => [name, shown(startMs), shown(endMs)])).toEqual([current, next])
    expect(periods[0].afterMs).toBe(periods[1].endMs)
  })

  test('what rolls over ends with the period after the one that it was granted in', () => {
    const [current, next] = allowancePeriods(allowance({ anchor: 31 }), ms('2026-01-31T00:00Z'))
    expect([current.afterMs, next.afterMs]).toEqual([ms('2026-03-31T00:00Z'), ms('2026-04-30T00:00Z')])
  })
})

const NOW = ms('2026-11-26T12:00Z')
const DECEMBER = ms('2026-12-01T00:00Z')

/** The grants of an account whose wallet does what is wanted of it. */
class Account {
  readonly grants: FoundGrant[] = []
  readonly ours = new Set<string>()

  /** Answers the keys that were made and voided, in the order of their creation. */
  see(wants: Allowance | undefined, nowMs = NOW): { made: string[]; voided: string[] } {
    const changes = allowanceChanges('acme', wants, this.grants, nowMs, this.ours)
    const voided = this.grants.filter(({ id }) => changes.voids.includes(id))
    for (const grant of voided) {
      this.ours.add(grant.id)
      this.put({ ...grant, state: 'voided' })
    }
    for (const made of changes.makes) {
      const { key, amountAtoms, labels, expiresAtMs, effectiveAtMs = nowMs } = made
      this.grants.push({
        id: key,
        key,
        unit: wants?.unit ?? '',
        amountAtoms,
        labels,
        expiresAtMs,
        effectiveAtMs,
        state: 'usable',
      })
    }
    this.neverTwo()
    return { made: changes.makes.map(({ key }) => key), voided: voided.map(({ id }) => id) }
  }

  put(grant: FoundGrant): void {
    const index = this.grants.findIndex(({ id }) => id === grant.id)
    this.grants[index] = grant
  }

  /** What may be used at a time. */
  usable(atMs: number): bigint {
    return this.at(atMs).reduce((sum, grant) => sum + grant.amountAtoms, 0n)
  }

  private at(atMs: number): FoundGrant[] {
    return this.grants.filter(
      (grant) => grant.state !== 'voided' && grant.effectiveAtMs <= atMs && atMs < (grant.expiresAtMs ?? 0),
    )
  }

  private neverTwo(): void {
    for (const { effectiveAtMs, unit } of this.grants) {
      const inWallet = this.at(effectiveAtMs).filter((grant) => grant.unit === unit)
      const whole = inWallet.filter((grant) => !('allowance_top_up' in grant.labels))
      expect(whole.length).toBeLessThanOrEqual(1)
    }
  }
}

function started(wants = allowance()): Account {
  const account = new Account()
  expect(account.see(wants)).toEqual({ made: ['allowance:2026-11', 'allowance:2026-12'], voided: [] })
  return account
}

describe('grants of an account', () => {
  test('the running and the next period have theirs, and asked again nothing is missing', () => {
    const account = started()
    expect(account.see(allowance())).toEqual({ made: [], voided: [] })
    expect(account.see(allowance(), DECEMBER)).toEqual({ made: ['allowance:2027-01'], voided: [] })
  })

  test('a gateway whose clock is behind the boundary takes nothing of what one beyond it made', () => {
    const account = started()
    account.see(allowance(), DECEMBER)
    expect(account.see(allowance(), DECEMBER - 1)).toEqual({ made: [], voided: [] })
  })

  test('keep: the running one stays as it is, the next one is made anew', () => {
    const account = started()
    const more = allowance({ amountAtoms: 300n })
    expect(account.see(more)).toEqual({ made: ['allowance:2026-12:1'], voided: ['allowance:2026-12'] })
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([100n, 300n])
    expect(account.see(more)).toEqual({ made: [], voided: [] })
  })

  test('top_up: the difference at once where it is more, and nothing where it is less', () => {
    const account = started()
    const more = allowance({ amountAtoms: 300n }, 'top_up')
    expect(account.see(more).made).toEqual(['allowance:2026-11:1', 'allowance:2026-12:1'])
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([300n, 300n])
    expect(account.see(more)).toEqual({ made: [], voided: [] })
    const less = allowance({ amountAtoms: 50n }, 'top_up')
    account.see(less)
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([300n, 50n])
    account.see(more)
    // To and fro is no way to more than the highest.
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([300n, 300n])
  })

  test('replace: the rest of the running one goes, and the new one begins at once, as often as it changes', () => {
    const account = started()
    const less = allowance({ amountAtoms: 50n }, 'replace')
    expect(account.see(less)).toEqual({
      made: ['allowance:2026-11:1', 'allowance:2026-12:1'],
      voided: ['allowance:2026-11', 'allowance:2026-12'],
    })
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([50n, 50n])
    expect(account.see(less)).toEqual({ made: [], voided: [] })
    account.see(allowance({}, 'replace'))
    expect([account.usable(NOW), account.usable(DECEMBER)]).toEqual([100n, 100n])
  })

  test('what was put on top goes before what it was put on, should the gateway end in the middle', () => {
    const account = started()
    account.see(allowance({ amountAtoms: 300n }, 'top_up'))
    const { voids } = allowanceChanges('acme', allowance({ amountAtoms: 7n }, 'replace'), account.grants, NOW)
    expect(voids.indexOf('allowance:2026-11:1')).toBeLessThan(voids.indexOf('allowance:2026-11'))
  })

  test('another way to change is no change', () => {
    expect(started().see(allowance({}, 'replace'))).toEqual({ made: [], voided: [] })
  })

  test('keep with periods of another form: they begin where the running one ends, never beside it', () => {
    const account = started()
    expect(account.see(allowance({ every: 'week', amountAtoms: 20n }))).toEqual({
      made: ['allowance:2026-W49'],
      voided: ['allowance:2026-12'],
    })
    const sunday = DECEMBER - 1
    expect([account.usable(sunday), account.usable(DECEMBER), account.usable(ms('2026-12-07'))]).toEqual([
      100n,
      20n,
      0n,
    ])
  })

  test('another time zone moves the boundary without a gap and without two at once', () => {
    const account = started()
    account.see(allowance({ timezone: 'America/New_York' }))
    expect([account.usable(DECEMBER - 1), account.usable(DECEMBER), account.usable(DECEMBER + 6 * 3_600_000)]).toEqual([
      100n,
      100n,
      100n,
    ])
  })

  test('another unit is another wallet: what runs there stays, or goes under replace', () => {
    const account = started()
    account.see(allowance({ unit: 'EUR' }))
    expect(account.grants.filter(({ state }) => state !== 'voided').map(({ unit, key }) => [unit, key])).toEqual([
      ['USD', 'allowance:2026-11'],
      ['EUR', 'allowance:2026-11:1'],
      ['EUR', 'allowance:2026-12:1'],
    ])
    account.see(allowance({}, 'replace'))
    expect(account.grants.filter(({ state, unit }) => state !== 'voided' && unit === 'EUR')).toEqual([])
  })

  test('taken away: what runs ends by itself, what is to come goes; given again it comes again', () => {
    const account = started()
    expect(account.see(undefined)).toEqual({ made: [], voided: ['allowance:2026-12'] })
    expect(account.see(allowance())).toEqual({ made: ['allowance:2026-12:1'], voided: [] })
  })

  test.each(['allowance:2026-11', 'allowance:2026-12'])('what a person voided stays void: %s', (id) => {
    const account = started()
    const grant = account.grants.find((one) => one.id === id) as FoundGrant
    account.put({ ...grant, state: 'voided' })
    expect(account.see(allowance())).toEqual({ made: [], voided: [] })
    expect(allowanceChanges('acme', allowance(), account.grants, NOW).doubts).toEqual([id])
  })

  test('other grants, and what rolled over, are left alone', () => {
    const account = started()
    const [first] = account.grants as [FoundGrant]
    account.grants.push({ ...first, id: 'r', key: undefined, labels: { rollover_of: 'x' } })
    account.grants.push({ ...first, id: 'm', key: 'allowance:mine', labels: {} })
    expect(allowanceChanges('acme', allowance({ amountAtoms: 1n }, 'replace'), account.grants, NOW).voids).toEqual([
      'allowance:2026-12',
      'allowance:2026-11',
    ])
  })

  test('a key that a person has used is passed over', () => {
    const account = new Account()
    const labels = { why: 'goodwill' }
    account.grants.push({
      id: 'm',
      key: 'allowance:2026-11',
      unit: 'USD',
      amountAtoms: 5n,
      state: 'usable',
      effectiveAtMs: 0,
      expiresAtMs: undefined,
      labels,
    })
    expect(account.see(allowance()).made).toEqual(['allowance:2026-11:1', 'allowance:2026-12'])
  })

  test('what two gateways want of the same grants is the same, ids of what rolls over too', () => {
    const wants = allowance({ rollover: { percentMillionths: 500_000, minAtoms: 0n, maxAtoms: 30n } }, 'replace')
    const { grants } = started()
    expect(allowanceChanges('acme', wants, grants, NOW)).toEqual(allowanceChanges('acme', wants, grants, NOW + 5))
  })
})
