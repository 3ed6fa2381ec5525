import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../api/sse';
import type { Message } from '../api/types';
import { ended, lost, reduce, START, type Answer } from './stream';

const message: Message = {
  id: 'msg_1',
  role: 'assistant',
  text: 'Ab [1]',
  citations: [],
  run_id: 'crn_1',
  model: 'narrator',
  quoted: true,
  tokens: { prompt: 3, completion: 2 },
  seconds: 0.4,
  state: 'succeeded',
  created_at: '2026-01-01T00:00:00Z',
};

const log: LogEvent[] = [
  { seq: 1, kind: 'state', data: { state: 'recalling' } },
  { seq: 2, kind: 'recalled', data: { citations: [] } },
  { seq: 3, kind: 'delta', data: { text: 'A' } },
  { seq: 4, kind: 'delta', data: { text: 'b' } },
  { seq: 5, kind: 'delta', data: { text: ' [1]' } },
  { seq: 6, kind: 'done', data: { message } },
];

const run = (events: LogEvent[], from: Answer = START): Answer => events.reduce(reduce, from);

describe('the stream of an answer', () => {
  it('is the same whether followed at once or resumed from any event', () => {
    const whole = run(log);
    expect(whole.message).toEqual(message);
    expect(ended(whole)).toBe(true);
    for (let cut = 0; cut <= log.length; cut += 1) {
      expect(run(log.slice(cut), run(log.slice(0, cut)))).toEqual(whole);
    }
  });

  it('applies an event once, however often it comes', () => {
    const doubled = log.slice(0, 5).flatMap((event) => [event, event]);
    expect(run(doubled).text).toBe('Ab [1]');
    expect(run([...log.slice(0, 5), ...log.slice(0, 5)]).text).toBe('Ab [1]');
  });

  it('puts events that arrive out of order into order', () => {
    const [a, b, c, d, e, f] = log as [LogEvent, LogEvent, LogEvent, LogEvent, LogEvent, LogEvent];
    const answer = run([a, b, e, d]);
    expect(answer.text).toBe('');
    expect(lost(answer)).toBe(true);
    const healed = reduce(answer, c);
    expect(healed.text).toBe('Ab [1]');
    expect(lost(healed)).toBe(false);
    expect(healed.ahead.size).toBe(0);
    expect(reduce(healed, f).phase).toBe('done');
  });

  it('keeps to the last event before a gap, so that following resumes there', () => {
    const answer = run([log[0]!, log[1]!, log[4]!]);
    expect(answer.seq).toBe(2);
    expect(lost(answer)).toBe(true);
    expect(run(log.slice(2), answer).message).toEqual(message);
  });

  it('forgets what was written on a reset and goes on', () => {
    const answer = run([...log.slice(0, 4), { seq: 5, kind: 'reset', data: {} }, { seq: 6, kind: 'delta', data: { text: 'New' } }]);
    expect(answer.text).toBe('New');
    expect(answer.phase).toBe('writing');
  });

  it('ends with the final message even when its text differs from the deltas', () => {
    const answer = run([...log.slice(0, 3), { seq: 4, kind: 'done', data: { message } }]);
    expect(answer.text).toBe('Ab [1]');
    expect(reduce(answer, { seq: 5, kind: 'delta', data: { text: '!' } })).toBe(answer);
  });

  it('ends on failure and on cancellation, and keeps what was written', () => {
    const failed = run([...log.slice(0, 4), { seq: 5, kind: 'failed', data: { error: { code: 'x', message: 'No.' } } }]);
    expect(failed).toMatchObject({ phase: 'failed', text: 'Ab', error: { code: 'x', message: 'No.' } });
    const cancelled = run([...log.slice(0, 4), { seq: 5, kind: 'cancelled', data: {} }]);
    expect(cancelled).toMatchObject({ phase: 'cancelled', text: 'Ab' });
    expect(lost(cancelled)).toBe(false);
  });

  it('says that the server shows no more, which has no place in the log', () => {
    const closed = run([...log.slice(0, 4), { seq: 0, kind: 'closed', data: { error: { code: 'closed', message: 'The session ended.' } } }]);
    expect(closed).toMatchObject({ phase: 'closed', seq: 4, text: 'Ab', error: { message: 'The session ended.' } });
    expect(ended(closed)).toBe(true);
  });
});
