/**
 * Runs the scenarios of lifecycle.test.ts, kernel.test.ts and netlink.test.ts as children: `node scenarios.js
 * NAME`, each in its own namespace.
 */
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { kernelScenarios } from './scenarios-kernel.js'
import { lifecycleScenarios, workerScenarios } from './scenarios-lifecycle.js'
import { netlinkScenarios } from './scenarios-netlink.js'

const scenarios: Record<string, () => Promise<unknown>> = isMainThread
  ? { ...lifecycleScenarios, ...kernelScenarios, ...netlinkScenarios }
  : workerScenarios
const name = isMainThread ? process.argv[2] : workerData
const report = await scenarios[name]!()
if (isMainThread) console.log(JSON.stringify(report ?? null))
else parentPort!.postMessage(report)
