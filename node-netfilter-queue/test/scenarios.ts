/** The children of lifecycle.test.ts and kernel.test.ts: `node scenarios.js NAME`, in a namespace of their own. */
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { kernelScenarios } from './scenarios-kernel.js'
import { lifecycleScenarios, workerScenarios } from './scenarios-lifecycle.js'

const scenarios: Record<string, () => Promise<unknown>> = isMainThread
  ? { ...lifecycleScenarios, ...kernelScenarios }
  : workerScenarios
const name = isMainThread ? process.argv[2] : workerData
const report = await scenarios[name]!()
if (isMainThread) console.log(JSON.stringify(report ?? null))
else parentPort!.postMessage(report)
