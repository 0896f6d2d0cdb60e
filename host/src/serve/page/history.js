// What the last commits took in and how far behind the job was after each, kept from poll to poll.

const POINTS_MAX = 600;

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.commits = [];
  }

  // The epoch after which commits are not known yet.
  get epoch() {
    return this.commits.at(-1)?.epoch ?? 0;
  }

  add(commits) {
    const epoch = this.epoch;
    this.commits.push(...commits.filter((of) => of.epoch > epoch));
    this.commits.splice(0, Math.max(0, this.commits.length - POINTS_MAX));
  }

  points(value) {
    return this.commits.map((of) => ({ at: Date.parse(of.at), value: value(of) }));
  }

  rates() {
    return this.points((of) => (of.records / Math.max(1, of.since_last_ms)) * 1000);
  }

  lags() {
    return this.points((of) => of.lag);
  }

  delays() {
    return this.points((of) => (of.watermark ? (Date.parse(of.at) - Date.parse(of.watermark)) / 1000 : null));
  }
}
