import t from 'tap'
import { MIRROR } from '../lab/topology.js'
import { ENFORCE, guarded, isOpen, ONE, runCommand, statusOf, Talk } from './runtime.js'
import { eventually } from './service.js'

t.jobs = 2

t.test(
  'mode enforce set at run time blocks at once, cuts off what is not allowed, and ends with a reload',
  async (t) => {
    const [lab, service] = await guarded(t, ENFORCE.replace('enforce', 'observe'))
    const talk = Talk.to(lab.web, ONE, MIRROR.v4)
    await talk.waitForAnswer(ONE)
    t.equal(await runCommand(service, 'mode'), 'observe\n')
    const output = await runCommand(service, 'mode', 'enforce')
    t.equal(
      output.replace(/\n(?=\/)/, ' '),
      `mode is enforce, until the next reload or restart\nto keep it: \`mode: enforce\` in place of ${service.config}:1\n`,
    )
    t.notOk(await isOpen(lab.web, ONE))
    await talk.assertCutOff(t, ONE, MIRROR.v4)
    t.equal(await service.metric('enforcing'), 1)
    t.match(await statusOf(service), { mode: 'enforce', configuredMode: 'observe' })
    await eventually(
      'the canary has proved again that blocking works',
      async () => (await statusOf(service)).proven === true,
    )
    t.match(
      service.program.stderr,
      /mode was changed to enforce through the control socket, until a reload or a restart: the configuration says observe/,
    )

    await service.reload(ENFORCE.replace('enforce', 'observe'))
    t.ok(await isOpen(lab.web, ONE))
    t.match(await statusOf(service), { mode: 'observe', configuredMode: undefined })
  },
)

t.test(
  'mode observe set at run time accepts everything, cuts off nothing, and ends with a restart',
  async (t) => {
    const [lab, service] = await guarded(t)
    const talk = Talk.to(lab.web, MIRROR.v4)
    await talk.waitForAnswer(MIRROR.v4)
    await runCommand(service, 'mode', 'observe')
    t.ok(await isOpen(lab.web, ONE))
    await talk.waitForAnswer(MIRROR.v4)
    t.equal(await service.metric('enforcing'), 0)
    t.match(await service.command('allow', 'add', 'x', '--to', ONE), {
      stderr: 'note: mode is observe: nothing is blocked now\n',
    })
    await service.kill()
    t.ok(await isOpen(lab.web, ONE), 'the kernel accepts packets while the service is dead')
    await service.launch()
    t.equal(await runCommand(service, 'mode'), 'enforce\n')
    t.match(await runCommand(service, 'mode', 'enforce'), 'mode is enforce, as in the configuration\n')
    t.match(await service.command('mode', 'open'), {
      status: 2,
      stderr: /^checkvalve: the mode is observe or enforce, not "open"/,
    })
  },
)
