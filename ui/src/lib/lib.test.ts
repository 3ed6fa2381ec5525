import { describe, expect, it } from 'vitest';
import { ApiError } from '../api/errors';
import type { MetricChange, Widget } from '../api/types';
import { compareCells, isNumeric } from './cells';
import { toCsv } from './csv';
import { blankWidget, classOf, lines } from './draft';
import { rank } from './find';
import { blockedHost, blockedPort, isPrivateHost } from './egress';
import { ageGroup, bytes, duration, figure, named, percentChange, relative, signed, sourcePlace, withUnit } from './format';
import { freshnessOf } from './freshness';
import { blocks, inline } from './markdown';
import { moved, namedChanges, sortOut } from './news';
import { excerpt } from './quote';
import { bannerOf, stepWord } from './licence';
import { match } from './match';
import { byAddress, decode, encode } from './passkeys';
import { allows } from './roles';
import { NO_EVENTS, record } from './runlog';
import { cronProblem, scheduleText } from './schedule';

const HOUR = 3_600_000;

describe('freshness', () => {
  it('is a share of the hours after which data is stale', () => {
    const at = '2026-01-01T00:00:00Z';
    const read = (hours: number): string => freshnessOf(at, 48, Date.parse(at) + hours * HOUR);
    expect([0, 12, 12.1, 24, 24.1, 48, 48.1].map(read)).toEqual(['FRESH', 'FRESH', 'RECENT', 'RECENT', 'AGING', 'AGING', 'STALE']);
  });
});

describe('passkeys', () => {
  it('travel as base64url without padding', () => {
    for (const text of ['', 'AA', '-_8', 'AAECA_z9_v8']) expect(encode(decode(text).buffer)).toBe(text);
  });

  it('belong to names, not to addresses', () => {
    expect(['127.0.0.1', '[::1]', '192.0.2.7', 'localhost', 'onsite.example', '1.example'].map(byAddress)).toEqual([true, true, true, false, false, false]);
  });
});

describe('figures and times', () => {
  it('read the same everywhere', () => {
    expect(withUnit(-1234.5, null)).toBe('\u22121,234.5');
    expect(withUnit(12, '%')).toBe('12%');
    expect(withUnit(3, 'MW')).toBe('3\u00a0MW');
    expect(withUnit(4.2, 'kg', 2)).toBe('4.20\u00a0kg');
    expect(withUnit(4.2, 'EUR')).toBe('4.20\u00a0EUR');
    expect(withUnit(12, 'EUR')).toBe('12\u00a0EUR');
    expect(signed(2)).toBe('+2');
    expect(percentChange(50, 55)).toBe('+10%');
    expect(percentChange(0, 5)).toBeNull();
    expect(bytes(1_536)).toBe('1.5 kB');
    expect(bytes(50 << 20)).toBe('50 MB');
    expect(duration(125)).toBe('2 min 5 s');
    expect(relative(0, 4 * 60_000)).toBe('4\u00a0min ago');
    expect(relative(3 * HOUR, 0, true)).toBe('in 3\u00a0h');
    expect(relative(20_000, 0, true)).toBe('in under a minute');
    expect(relative(20_000, 0)).toBe('just now');
  });

  it('are shown as they were found, without the noise of arithmetic', () => {
    expect([0.642, 0.1 + 0.2, 299_792_458].map(figure)).toEqual(['0.642', '0.3', '299,792,458']);
    expect(named('Mass (10^24 kg)')).toBe('Mass (10²⁴ kg)');
    expect(named('Charge (10^-19 C)')).toBe('Charge (10⁻¹⁹ C)');
  });

  it('group by how long ago they were', () => {
    const now = new Date(2026, 4, 20, 9).getTime();
    const ago = (hours: number): string => ageGroup(now - hours * HOUR, now);
    expect([1, 10, 40, 24 * 6, 24 * 40].map(ago)).toEqual(['Today', 'Yesterday', 'Last 7 days', 'Last 7 days', 'Older']);
  });
});

describe('roles', () => {
  it('include those below them, and an unknown one is none', () => {
    expect(['viewer', 'member', 'dev', 'admin', 'owner'].map((role) => allows(role, 'dev'))).toEqual([false, false, true, true, true]);
    expect([allows(undefined, 'viewer'), allows('guest', 'viewer'), allows('viewer', 'viewer')]).toEqual([false, false, true]);
  });
});

describe('a quote in its text', () => {
  it('is found exactly, or with whitespace collapsed, or said to be missing', () => {
    expect(excerpt('one two three', 'two')).toEqual({ before: 'one ', parts: [{ text: 'two', marked: true }], after: ' three', found: true });
    expect(excerpt('one\n two\n three', 'two three')).toMatchObject({ parts: [{ text: 'two three', marked: true }], found: true });
    expect(excerpt('one', 'two')).toMatchObject({ parts: [{ text: 'two', marked: true }], found: false });
    const long = excerpt(`${'word '.repeat(300)}HERE${' word'.repeat(300)}`, 'HERE', 40);
    expect(long.before.startsWith('… word')).toBe(true);
    expect(long.after.endsWith('word …')).toBe(true);
  });

  it('is marked whole, sentence after sentence and across what is left out between', () => {
    const text = 'The Skua is a tug. It was built in 1911. It is black. The tug leaves on Saturday.';
    const shown = excerpt(text, ['The Skua is a tug.', 'It was built in 1911.', 'The tug leaves on Saturday.']);
    expect(shown.parts).toEqual([
      { text: 'The Skua is a tug. It was built in 1911.', marked: true },
      { text: ' It is black. ', marked: false },
      { text: 'The tug leaves on Saturday.', marked: true },
    ]);
    expect(excerpt(text, ['The Skua is a tug.', 'gone'])).toMatchObject({ parts: [{ text: 'The Skua is a tug.', marked: true }], found: true });
  });
});

describe('Markdown', () => {
  it('keeps markup as text and finds citations', () => {
    expect(inline('<b>x</b> [12]')).toEqual([{ kind: 'text', text: '<b>x</b>' }, { kind: 'cite', n: 12 }]);
    expect(inline('snake_case_name and 2*3*4')).toEqual([{ kind: 'text', text: 'snake_case_name and 2*3*4' }]);
    expect(inline('**a [1]**')).toEqual([{ kind: 'strong', parts: [{ kind: 'text', text: 'a' }, { kind: 'cite', n: 1 }] }]);
  });

  it('splits blocks', () => {
    const kinds = blocks('# T\n\nline\nline\n\n- a\n- b\n\n> q\n\n```\nx\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |').map((block) => block.kind);
    expect(kinds).toEqual(['heading', 'paragraph', 'list', 'quote', 'code', 'table']);
  });
});

describe('CSV', () => {
  it('quotes, and disarms formulas but not figures', () => {
    expect(toCsv(['a', 'b'], [['x,"y"', '=1+1'], ['-5.2%', '-cmd']])).toBe('a,b\r\n"x,""y""",\'=1+1\r\n-5.2%,\'-cmd\r\n');
  });
});

describe('table cells', () => {
  it('sort as figures where they are figures', () => {
    expect(isNumeric(['1,200', '3.5', ''])).toBe(true);
    expect(isNumeric(['1', 'n/a'])).toBe(false);
    expect(['1,200', '30', '4'].sort(compareCells)).toEqual(['4', '30', '1,200']);
  });
});

describe('egress', () => {
  const refusal = (message: string, details = {}): ApiError => new ApiError(422, 'egress_not_allowed', message, { details });

  it('finds the host that was refused', () => {
    expect(blockedHost(refusal('b.example is not allowed'), ['https://a.example/', 'https://b.example/x'])).toBe('b.example');
    expect(blockedHost(refusal('not allowed', { host: 'c.example' }), ['https://a.example/'])).toBe('c.example');
    expect(blockedHost(refusal('not allowed'), ['http://[fd00::1]:8080/'])).toBe('fd00::1');
    expect(blockedPort('fd00::1', ['http://[fd00::1]:8080/'])).toBe(8080);
    expect(blockedPort('a.example', ['https://a.example/', 'https://b.example:444/'])).toBeNull();
  });

  it('knows hosts of the own network', () => {
    for (const host of ['10.1.2.3', '127.0.0.1', '172.20.0.1', 'wiki', 'wiki.corp', 'fd00::1']) expect(isPrivateHost(host), host).toBe(true);
    for (const host of ['example.com', '172.32.0.1', '8.8.8.8', '2001:db8::1']) expect(isPrivateHost(host), host).toBe(false);
    expect(classOf('http://wiki.corp/a')).toBe('internal_web');
    expect(lines(' a \n\n b')).toEqual(['a', 'b']);
  });
});

describe('schedules', () => {
  it('are said in words', () => {
    expect(scheduleText({ kind: 'every', minutes: 360 })).toBe('Every 6 hours');
    expect(scheduleText({ kind: 'cron', expression: '30 7 * * 1-5', time_zone: 'Europe/Paris' })).toBe('Weekdays at 07:30 (Europe/Paris)');
    expect(cronProblem('* * *')).not.toBeNull();
    expect(cronProblem('*/5 * * * MON-FRI')).toBeNull();
  });
});

describe('finding', () => {
  it('wants every word and prefers the start of words', () => {
    expect(rank('Usage', 'usa')).toBeGreaterThan(rank('Reusable', 'usa'));
    expect(rank('Run Nordic load', 'load run')).toBeGreaterThan(0);
    expect(rank('Run', 'walk')).toBe(-1);
    expect(rank('Run', '')).toBe(0);
  });
});

describe('addresses', () => {
  it('fit patterns piece by piece', () => {
    expect(match('/c/:company/chat', '/c/cmp_1/chat/')).toEqual({ company: 'cmp_1' });
    expect(match('/c/:company', '/c/cmp_1/chat')).toBeNull();
  });
});

describe('the log of a run', () => {
  it('applies each event once and ends', () => {
    const page = { seq: 1, kind: 'page', data: { url: 'https://a/', fate: 'new', reason: null, n: 1, budget: 20 } };
    const log = [page, page, { seq: 2, kind: 'report', data: { report_id: 'rpt_1' } }, { seq: 3, kind: 'done', data: {} }].reduce(record, NO_EVENTS);
    expect(log).toMatchObject({ collected: 1, budget: 20, reportId: 'rpt_1', state: 'succeeded', ended: true });
    expect(log.pages).toHaveLength(1);
  });
});

describe('sources', () => {
  it('name the path or the page first, and the host second', () => {
    expect(sourcePlace({ url: 'https://a.example:8443/pr%C3%A9s/map?x=1' })).toEqual({ where: '/prés/map?x=1', from: 'a.example:8443' });
    expect(sourcePlace({ url: 'https://a.example/%E0%A4%A' })).toEqual({ where: '/%E0%A4%A', from: 'a.example' });
    expect(sourcePlace({ url: null, page_number: 3 })).toEqual({ where: 'page 3', from: 'document' });
  });
});

describe('the log of a run', () => {
  it('keeps why the server stopped showing it, and where to go on', () => {
    const before = record(NO_EVENTS, { seq: 3, kind: 'state', data: { state: 'collecting' } });
    const closed = record(before, { seq: 0, kind: 'closed', data: { error: { code: 'closed', message: 'The session ended.' } } });
    expect(closed).toMatchObject({ seq: 3, state: 'collecting', closed: 'The session ended.', ended: false });
  });
});

describe('news', () => {
  it('sorts automations by what they ask of the reader', () => {
    const now = Date.parse('2026-01-03T00:00:00Z');
    const change = (previous: number | null, current: number | null): MetricChange => ({ name: 'Adult', unit: '€', previous, current, change: null });
    expect([change(2, 2.5), change(null, 3), change(3, null)].map(moved)).toEqual(['€2 → €2.50', 'new: €3', 'gone']);
    expect(namedChanges([change(1, 2), change(2, 3)], 1)).toEqual({ shown: [{ name: 'Adult', what: '€1 → €2' }], more: 1 });
    const widget = (id: string, changes: MetricChange[] | null, collected: string, state: 'succeeded' | 'failed' = 'succeeded'): Widget => ({
      ...blankWidget(),
      id,
      created_by: 'usr_1',
      next_run_at: null,
      created_at: collected,
      updated_at: collected,
      sparkline: [],
      upstream_widget_id: null,
      warnings: [],
      latest: {
        run_id: 'r',
        ingest: 'done',
        error: null,
        state,
        finished_at: collected,
        report_id: 'p',
        headline: { name: 'n', value: 1, unit: null, change: 0, as_of: null },
        changes,
        findings: 1,
        metrics: 1,
        freshness: null,
        collected_at: collected,
      },
    });
    const news = sortOut(
      [
        widget('moved', [change(2, 3)], '2026-01-02T23:00:00Z'),
        widget('same', [], '2026-01-02T23:00:00Z'),
        widget('first', null, '2026-01-02T23:00:00Z'),
        widget('soon', null, '2026-01-01T06:00:00Z'),
        widget('stale', null, '2025-12-30T00:00:00Z', 'failed'),
      ],
      now - 2 * HOUR,
      now,
    );
    expect(news.moved.map((each) => each.id)).toEqual(['moved', 'first']);
    expect(news.staleSoon.map((each) => each.widget.id)).toEqual(['soon']);
    expect(news.stale.map((each) => each.id)).toEqual(['stale']);
    expect(news.failed.map((each) => each.id)).toEqual(['stale']);
  });
});

describe('the licence banner', () => {
  it('speaks up at each step, to whoever can do something', () => {
    const licence = { reason: 'ok', days_left: 29, expires_at: '2026-12-24T00:00:00Z', grace_until: '2027-01-07T00:00:00Z' };
    expect(bannerOf(licence)).toBeNull();
    const due = bannerOf({ ...licence, notice: 'days_30' });
    expect([due?.tone, due?.forAdmins, due?.text]).toEqual(['warning', true, 'The activation code ends in 29 days, on 24 Dec 2026.']);
    expect(bannerOf({ ...licence, notice: 'days_14' })?.key).not.toBe(due?.key);
    expect(bannerOf({ ...licence, reason: 'expired_in_grace', notice: 'grace' })?.text).toContain('7 Jan 2027');
    expect(bannerOf({ ...licence, reason: 'revoked', notice: 'free_tier' })?.text).toContain('revoked');
    expect(bannerOf({ ...licence, clock_suspect: '2026-12-01T00:00:00Z' })?.text).toContain('Nothing is locked');
    expect([stepWord('days_1'), stepWord('unknown')]).toEqual(['Last day', 'unknown']);
  });
});
