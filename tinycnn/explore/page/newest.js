// Work that is done once at a time.

/**
 * Of what is asked for while work is being done, only the newest is done afterwards; `join(earlier, later)` returns what
 * is to be done in place of two.
 */
export class Newest {
  constructor(work, join = (earlier, later) => later) {
    Object.assign(this, { work, join, next: null, isBusy: false });
  }

  async ask(...given) {
    this.next = this.next ? this.join(this.next, given) : given;
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.next) {
      const now = this.next;
      this.next = null;
      await this.work(...now);
    }
    this.isBusy = false;
  }
}
