// The present, as state: what shows 'five minutes ago' reads it.
class Clock {
  now = $state(Date.now())

  constructor() {
    setInterval(() => (this.now = Date.now()), 1000)
  }
}

export const time = new Clock()
