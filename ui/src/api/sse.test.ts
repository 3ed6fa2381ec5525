import { describe, expect, it } from 'vitest';
import { SseParser } from './sse';

const stream = 'id: 1\nevent: state\ndata: {"state":"queued"}\n\n: keep-alive\n\nid: 2\r\nevent: delta\r\ndata: {"text":"a\\n\\nb"}\r\n\r\n';
const events = [
  { seq: 1, kind: 'state', data: { state: 'queued' } },
  { seq: 2, kind: 'delta', data: { text: 'a\n\nb' } },
];

describe('reading server-sent events', () => {
  it('finds the same events wherever the stream is cut', () => {
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const parser = new SseParser();
      expect([...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))], `cut at ${cut}`).toEqual(events);
    }
  });

  it('keeps an unfinished event for later', () => {
    const parser = new SseParser();
    expect(parser.push('id: 9\nevent: done\ndata: {}')).toEqual([]);
    expect(parser.push('\n\n')).toEqual([{ seq: 9, kind: 'done', data: {} }]);
  });
});
