/** Runs nginx on the guarded host, and wrk as its clients. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Namespace } from '../test/lab/namespace.js'
import { type Topology, WEB } from '../test/lab/topology.js'
import { eventually } from '../test/lab/waiting.js'

const PORT = 80
/** The bytes of the page: few, so that the cost of connections matters. */
const PAGE = 8 * 1024

/** The configuration of nginx. As in Debian's own, each request reads a file, and writes a line to a log. */
const nginx = (folder: string) => `daemon off;
worker_processes auto;
pid ${folder}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  sendfile on;
  tcp_nopush on;
  access_log ${folder}/access.log;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen ${PORT};
    root ${folder}/html;
  }
}
`

/** Why there is no web server here; undefined when there is one. */
export const webServerAbsent =
  existsSync('/usr/sbin/nginx') && existsSync('/usr/bin/wrk')
    ? undefined
    : 'absent: nginx or wrk is not installed'

/** A web server that removes its files when it is disposed of; its program ends with the namespace. */
export class WebServer implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'checkvalve-bench-'))

  /** Starts nginx on the host, and sets up the kernel for thousands of connections a second. */
  static async start({ web, client }: Topology): Promise<WebServer> {
    await web.sysctl('net.netfilter.nf_conntrack_tcp_timeout_time_wait', 1)
    await client.sysctl('net.ipv4.ip_local_port_range', '1024 65535')
    await client.sysctl('net.ipv4.tcp_tw_reuse', 1)
    const server = new WebServer()
    await server.#serve(web)
    return server
  }

  async #serve(web: Namespace): Promise<void> {
    const [config, pages] = [join(this.#folder, 'nginx.conf'), join(this.#folder, 'html')]
    // The workers of nginx run as another user.
    chmodSync(this.#folder, 0o755)
    writeFileSync(config, nginx(this.#folder))
    mkdirSync(pages)
    writeFileSync(join(pages, 'index.html'), 'It works. '.repeat(PAGE / 10))
    const program = web.spawn(['nginx', '-c', config])
    await eventually('nginx serves', () => {
      if (!program.running) throw new Error(`nginx ended: ${program.stderr}`)
      return existsSync(join(this.#folder, 'nginx.pid'))
    })
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Runs wrk. @param words further arguments of it @returns requests a second @throws Error when requests failed */
export async function requestsPerSecond(
  client: Namespace,
  seconds: number,
  words: readonly string[] = [],
): Promise<number> {
  const argv = ['wrk', '--threads', '1', '--connections', '32', '--duration', `${seconds}s`, ...words]
  const { stdout } = await client.run([...argv, `http://${WEB.client.v4}/`])
  const [, requests] = /^Requests\/sec: +([\d.]+)$/m.exec(stdout) ?? []
  if (requests === undefined || /Socket errors|Non-2xx/.test(stdout))
    throw new Error(`requests failed: ${stdout}`)
  return Number(requests)
}
