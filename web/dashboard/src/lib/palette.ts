// Which letter and colour a peer has on a page. A peer keeps both for as long as the page is open, whatever comes and
// goes beside it. The letter carries the meaning; there are only six colours.

export interface Mark {
  letter: string // A to Z, then AA
  colour: 1 | 2 | 3 | 4 | 5 | 6
  /** The colour was used before: pictures add a pattern. */
  again: boolean
}

export class Palette {
  #marks = new Map<string, Mark>()

  mark(id: string): Mark {
    let m = this.#marks.get(id)
    if (m === undefined) {
      const n = this.#marks.size
      m = { letter: letters(n), colour: ((n % 6) + 1) as Mark['colour'], again: n >= 6 }
      this.#marks.set(id, m)
    }
    return m
  }
}

function letters(n: number): string {
  const last = String.fromCharCode(65 + (n % 26))
  return n < 26 ? last : letters(Math.floor(n / 26) - 1) + last
}
