import type { Controls } from './controls.ts'

/** How far something has come that goes on after its answer: it is done after so many looks at it and so much time. */
export class JobProgress {
  #looks: number
  readonly #doneAtMs: number

  constructor({ looks, jobMs }: Pick<Controls, 'looks' | 'jobMs'>) {
    this.#looks = looks
    this.#doneAtMs = Date.now() + jobMs
  }

  get done(): boolean {
    return this.#looks <= 0 && Date.now() >= this.#doneAtMs
  }

  /** Someone looks: whether it is done. */
  look(): boolean {
    const { done } = this
    this.#looks--
    return done
  }
}
