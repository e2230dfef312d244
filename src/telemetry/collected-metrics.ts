/** Defines metrics whose values are kept elsewhere, and read at each scrape. */
import { Counter, Gauge, type Registry } from 'prom-client'

/** Completes the options of a metric: prefix and registry. */
export type Named = (name: string, help: string) => { name: string; help: string; registers: Registry[] }

/** Defines a counter whose value is kept elsewhere, and is copied at each scrape. */
export function counter<L extends string>(
  options: ReturnType<Named> & { labelNames?: readonly L[] },
  fill: (counter: Counter<L>) => void | Promise<void>,
): void {
  new Counter<L>({
    ...options,
    async collect() {
      this.reset()
      await fill(this)
    },
  })
}

/** Defines a gauge whose value is kept elsewhere; without a value it has no sample. */
export function gauge(options: ReturnType<Named>, value: () => number | undefined): void {
  new Gauge({
    ...options,
    collect() {
      const now = value()
      if (now === undefined) this.remove()
      else this.set(now)
    },
  })
}
