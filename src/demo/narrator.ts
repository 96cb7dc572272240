/** Writes the walk for a reader: titles, paragraphs, figures in columns. Colour only where a terminal shows it. */
const WIDTH = 100
const INDENT = '   '

export interface Figure {
  readonly label: string
  /** A decimal string in USD, or plain words. */
  readonly value: string
  readonly note?: string
}

export class Narrator {
  readonly #write: (text: string) => void
  readonly #colour: boolean

  constructor(write: (text: string) => void, colour: boolean) {
    this.#write = write
    this.#colour = colour
  }

  banner(text: string): void {
    this.#write(`\n${this.#paint('1', text)}\n`)
  }

  title(number: number, text: string): void {
    const head = `── ${number}. ${text} `
    this.#write(`\n${this.#paint('1;36', head.padEnd(WIDTH, '─'))}\n`)
  }

  /** A paragraph, wrapped. */
  say(text: string): void {
    for (const line of wrap(text, WIDTH - INDENT.length)) this.#write(`${INDENT}${line}\n`)
  }

  gap(): void {
    this.#write('\n')
  }

  /** A line that may be longer than the page: a command, an error body. */
  quote(text: string): void {
    for (const line of text.split('\n')) this.#write(`${INDENT}  ${this.#paint('2', line)}\n`)
  }

  done(claim: string): void {
    this.#write(`${INDENT}${this.#paint('32', '✓')} ${claim}\n`)
  }

  wrong(claim: string): void {
    this.#write(`${INDENT}${this.#paint('1;31', `✗ ${claim}`)}\n`)
  }

  /** Label and value; amounts with a note stand in a column of their own, their points under each other. */
  figures(figures: readonly Figure[]): void {
    const labels = Math.max(...figures.map((figure) => figure.label.length))
    const noted = figures.filter((figure) => figure.note !== undefined)
    const aligned = new Map(
      alignPoints(noted.map((figure) => figure.value)).map((value, index) => [noted[index], value]),
    )
    for (const figure of figures) {
      const start = `${INDENT}${figure.label.padEnd(labels)}  ${aligned.get(figure) ?? figure.value}`
      this.#write(`${figure.note === undefined ? start : `${start}  ${this.#paint('2', figure.note)}`}\n`)
    }
  }

  /** Columns: amounts to the right, their points under each other, texts to the left. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const columns = head.map((name, index) => {
      const cells = rows.map((row) => row[index] ?? '')
      const isText = cells.some((cell) => cell !== '' && !isAmount(cell))
      return pad([name, ...(isText ? cells : alignPoints(cells))], isText)
    })
    for (let row = 0; row <= rows.length; row++) {
      const line = columns
        .map((column) => column[row])
        .join('  ')
        .trimEnd()
      this.#write(`${INDENT}${row === 0 ? this.#paint('2', line) : line}\n`)
    }
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}

/** Pads amounts so that their decimal points stand under each other; other texts are left as they are. */
function alignPoints(texts: readonly string[]): string[] {
  const amounts = texts.filter(isAmount)
  const whole = Math.max(0, ...amounts.map((text) => wholeLength(text)))
  const fraction = Math.max(0, ...amounts.map((text) => text.length - wholeLength(text)))
  const aligned = texts.map((text) => {
    if (!isAmount(text)) return text
    return ' '.repeat(whole - wholeLength(text)) + text + ' '.repeat(fraction - (text.length - wholeLength(text)))
  })
  return pad(aligned, true)
}

function isAmount(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text)
}

function wholeLength(text: string): number {
  const point = text.indexOf('.')
  return point < 0 ? text.length : point
}

function pad(texts: readonly string[], left: boolean): string[] {
  const width = Math.max(0, ...texts.map((text) => text.length))
  return texts.map((text) => (left ? text.padEnd(width) : text.padStart(width)))
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  lines.push(line)
  return lines
}
