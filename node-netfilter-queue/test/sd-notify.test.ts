import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { sdNotify } from 'node-netfilter-queue/system'
import t from 'tap'
import { PATIENCE_MS } from './helper.js'

/** This program prints one datagram: Node cannot receive on an AF_UNIX datagram socket. */
const RECEIVER = `
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char text[2048];
  size_t length = strlen(argv[argc - 1]);
  memcpy(address.sun_path, argv[argc - 1], length);
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + length)) return 1;
  write(1, "+", 1);
  ssize_t count = recv(fd, text, sizeof text, 0);
  return write(1, text, count) != count;
}`

const directory = t.testdir()
const receiver = `${directory}/receiver`
writeFileSync(`${receiver}.c`, RECEIVER)
execFileSync('cc', ['-w', '-o', receiver, `${receiver}.c`])

for (const address of [`${directory}/socket`, `@node-netfilter-queue-${process.pid}`])
  t.test(
    `the whole state text reaches ${address[0] === '@' ? 'an abstract address' : 'a path'}`,
    async (t) => {
      const child = spawn(receiver, [address], { timeout: PATIENCE_MS })
      let received = ''
      child.stdout.on('data', (data) => (received += data))
      await once(child.stdout, 'data')
      t.equal(sdNotify(address, 'READY=1\nSTATUS=göod'), true)
      const [code] = await once(child, 'close')
      t.equal(code, 0)
      t.equal(received, '+READY=1\nSTATUS=göod')
    },
  )

t.test('without an address sdNotify sends nothing', async (t) => {
  t.equal(sdNotify(undefined, 'READY=1'), false)
  t.equal(sdNotify('', 'READY=1'), false)
})

t.test('an unreachable address or a text that is too long throws an error with a name', async (t) => {
  t.throws(() => sdNotify(`${directory}/nobody`, 'READY=1'), {
    code: 'ENOENT',
    message: /notifying .*nobody/,
  })
  t.throws(() => sdNotify('@node-netfilter-queue-nobody', 'READY=1'), { code: 'ECONNREFUSED' })
  t.throws(() => sdNotify(`/${'x'.repeat(200)}`, 'READY=1'), { code: 'EINVAL' })
  t.throws(() => sdNotify('@x', 'x'.repeat(1024)), { code: 'EMSGSIZE' })
})
