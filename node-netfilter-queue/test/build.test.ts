import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'

const PACKAGE = new URL('../../', import.meta.url)
const directory = t.testdir()

/** Runs make with its own output folder; the compiler lists the headers that it reads. */
function make(...variables: string[]) {
  const flags = [`BUILD=${directory}`, `CFLAGS=-O2 -MD -MF ${directory}/headers`]
  const argv = ['--silent', ...flags, ...variables]
  const { PATH } = process.env
  return spawnSync('make', argv, { cwd: PACKAGE, env: { PATH }, encoding: 'utf8', timeout: 60_000 })
}

t.test('the native part builds without the headers of Node, and can be loaded', async (t) => {
  const { status, stderr } = make()
  t.same({ status, stderr }, { status: 0, stderr: '' }, 'make prints no warning')
  const headers = readFileSync(`${directory}/headers`, 'utf8').split(/[\s\\]+/)
  const ofNode = headers.filter((path) => /^(node|js_native|uv|v8)/.test(basename(path)))
  t.same(ofNode.map((path) => path.replace(/^.*node_modules\//, '')).sort(), [
    'node-api-headers/include/js_native_api.h',
    'node-api-headers/include/js_native_api_types.h',
    'node-api-headers/include/node_api.h',
    'node-api-headers/include/node_api_types.h',
    'uv-poll.h',
  ])
  const load = `console.log(typeof require(${JSON.stringify(`${directory}/binding.node`)}).open)`
  t.equal(execFileSync(process.execPath, ['-e', load], { encoding: 'utf8', env: {} }), 'function\n')
})

t.test('where the headers of Node-API are missing, make prints what to do', async (t) => {
  const { status, stderr } = make('NODE_API_INCLUDE=', '--always-make')
  t.not(status, 0)
  t.match(stderr, /node-api-headers is missing: run npm install/)
})
