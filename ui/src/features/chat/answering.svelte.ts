// The answer being written: follows the durable log of a chat run, from its start or from where it broke off.

import { api, asApiError, follow, type ApiError, type Message } from '../../api';
import { ended, lost, reduce, START, type Answer } from '../../lib/stream';

export class Answering {
  answer = $state.raw<Answer | null>(null);
  trouble = $state.raw<ApiError | null>(null);
  run = $state<string | null>(null);
  private connection: AbortController | null = null;

  constructor(private readonly company: string) {}

  get running(): boolean {
    return this.answer !== null && !ended(this.answer);
  }

  /** Follows a run to its end; `onDone` gets the final message, after which nothing is shown here any more. */
  async follow(run: string, onDone: (message: Message) => void): Promise<void> {
    this.leave();
    const connection = new AbortController();
    this.connection = connection;
    this.run = run;
    this.trouble = null;
    let current: Answer = START;
    this.answer = current;
    try {
      await follow(api.chatEvents(this.company, run), {
        after: () => current.seq,
        onConnect: () => {
          this.trouble = null;
          // a new connection begins right after the last applied event, so nothing needs to wait any longer
          current = { ...current, ahead: new Map() };
        },
        onEvent: (event) => {
          current = reduce(current, event);
          if (!connection.signal.aborted) this.answer = current;
        },
        finished: () => ended(current),
        lost: () => lost(current),
        onTrouble: (cause) => (this.trouble = asApiError(cause)),
        signal: connection.signal,
      });
    } catch (cause) {
      const error = asApiError(cause);
      this.answer = { ...current, phase: 'failed', error: { code: error.code, message: error.message, remedy: error.remedy } };
    }
    if (current.message && !connection.signal.aborted) {
      onDone(current.message);
      this.answer = null;
    }
  }

  async stop(): Promise<void> {
    if (!this.run) return;
    try {
      await api.cancelChatRun(this.company, this.run);
    } catch (cause) {
      this.trouble = asApiError(cause);
    }
  }

  /** Stops watching; the run itself goes on. */
  leave(): void {
    this.connection?.abort();
    this.connection = null;
  }
}
