import type { Controls } from './controls.ts'

/** How far something has come that goes on after its answer: it is done after so many looks at it and so much time. */
export class JobProgress {
  #looks: number
  #doneAtMs: number

  constructor({ looks, jobMs }: Pick<Controls, 'looks' | 'jobMs'>) {
    this.#looks = looks
    this.#doneAtMs = Date.now() + jobMs
  }

  get done(): boolean {
    return this.#looks <= 0 && Date.now() >= this.#doneAtMs
  }

  /** It is done at once. */
  hurry(): void {
    this.#looks = 0
    this.#doneAtMs = 0
  }

  /** Someone looks: whether it is done. */
  look(): boolean {
    const { done } = this
    this.#looks--
    return done
  }
}
