import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { CONFIG } from './watched-expressions.ts'

interface Service {
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly network_mode?: string
}

const read = (file: string): string => readFileSync(join(CONFIG, file), 'utf8')
const { services, volumes } = parse(read('compose.yaml')) as {
  services: Record<'gateway' | 'redis' | 'prometheus' | 'grafana', Service>
  volumes: Record<string, null>
}
const mounts = Object.values(services).flatMap((service) => service.volumes ?? [])

test('everything that is mounted is there', () => {
  for (const mount of mounts) {
    const source = mount.split(':')[0] as string
    expect(source.startsWith('.') ? existsSync(join(CONFIG, source)) : source in volumes, mount).toBe(true)
  }
})

test('no port is open beyond this machine', () => {
  for (const port of Object.values(services).flatMap((service) => service.ports ?? []))
    expect(port).toMatch(/^127\.0\.0\.1:/)
})

test('Redis keeps the books: appended each second, never evicted', () => {
  const command = services.redis.command?.join(' ')
  expect(command).toContain('--appendonly yes --appendfsync everysec')
  expect(command).toContain('--maxmemory-policy noeviction')
})

test('Prometheus scrapes the admin port over the loopback of the gateway, and Grafana finds Prometheus', () => {
  const admin = /admin: \{ host: (\S+), port: "\$\{TOLLGATE_ADMIN_PORT:-(\d+)\}"/.exec(read('tollgate.yaml'))
  const [job] = (
    parse(read('prometheus/prometheus.yaml')) as { scrape_configs: { static_configs: { targets: string[] }[] }[] }
  ).scrape_configs
  expect(job?.static_configs[0]?.targets).toEqual([`${admin?.[1]}:${admin?.[2]}`])
  expect(services.prometheus.network_mode).toBe('service:gateway')
  const listens = services.prometheus.command
    ?.find((option) => option.startsWith('--web.listen-address='))
    ?.split(':')
    .at(-1)
  const { datasources } = parse(read('grafana/provisioning/datasources/prometheus.yaml')) as {
    datasources: { url: string }[]
  }
  expect(datasources[0]?.url).toBe(`http://gateway:${listens}`)
})

test('what the gateway reads from its environment is what its config names', () => {
  for (const name of Object.keys(services.gateway.environment ?? {}))
    expect(read('tollgate.yaml')).toContain(`\${${name}`)
})
