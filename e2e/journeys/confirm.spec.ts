// A policy asks for a fresh sign-in: the finance admin approves with it, nobody else can for
// them, and what it proves is checked offline, with the issuer's keys fetched from the issuer.
import { expect, test, type APIRequestContext, type Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { card, expectAccessible, signIn, watch } from './support.js';

type Change = { id: string; number: number; digest: string; state: string };

test('approves with a fresh sign-in, which an export proves with the issuer’s own keys', async ({ page, browser, request }) => {
  const { api_tokens: tokens, web_url } = card();
  const depot = await nodeId(request, 'CC-5300');
  const policies = {
    policies: [{ code: 'signed', kinds: ['node'], subtree: depot, fresh_sign_in: true, expire_days: 10, steps: [{ name: 'Finance', quorum: 1, who: [{ role: 'finance_admin' }] }] }],
  };
  const policy = await propose(request, tokens.finance_admin, { kind: 'policies', payload: policies, reason: 'the depot is approved by who is there' });
  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await decide(controller, policy);
  await controller.close();
  const rename = await propose(request, tokens.engineering_admin, {
    kind: 'node', payload: { operations: [{ op: 'rename', code: 'CC-5300', name: `Depot software ${Date.now().toString(36)}` }] }, reason: 'it is called so now',
  });
  expect(rename.state).toBe('proposed');

  // A project moves below the depot, with what it costs from then on.
  const before = await spend(request, 'CC-5100', 'P-5100-03');
  expect(before.path).toContain('CC-5100');
  const move = await propose(request, tokens.engineering_admin, {
    kind: 'node', payload: { operations: [{ op: 'move', code: 'P-5100-03', parent_code: 'CC-5300' }] }, reason: 'the depot books itself now',
  });
  expect(move.state).toBe('proposed');
  const engineer = await (await browser.newContext()).newPage();
  await signIn(engineer, 'engineering_admin');
  await engineer.goto(`${web_url}/changes/${move.id}`);
  await expect(engineer.getByRole('button', { name: /^Approve/ })).toHaveCount(0);
  const alone = await engineer.request.post(`${web_url}/changes/${move.id}/decision`, { form: { digest: move.digest, verdict: 'approve', reason: 'mine' }, maxRedirects: 0 });
  expect([403, 409, 422]).toContain(alone.status());
  await engineer.close();

  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.goto(`${web_url}/changes/${rename.id}/confirm`);
  await expectAccessible(page);
  await page.goto(`${web_url}/changes/${rename.id}`);
  await expectAccessible(page);
  const approve = async (change = rename) => {
    await page.goto(`${web_url}/changes/${change.id}`);
    await page.getByRole('textbox', { name: 'Why' }).fill('agreed with the depot');
    await page.getByRole('button', { name: /^Approve.* and confirm with / }).click();
    await expect(page.getByRole('heading', { name: 'Sign in again' })).toBeVisible();
  };

  // Somebody else signs in at the issuer: nothing is decided.
  await approve();
  await page.getByRole('button', { name: /Priya Raman/ }).click();
  await expect(page.getByRole('heading', { name: 'Decision refused' })).toBeVisible();
  await expect(page.getByRole('alert')).toContainText('confirmed somebody else');
  await expectAccessible(page);

  await approve();
  await page.getByRole('button', { name: /Ingrid Solberg/ }).click();
  await expect(page.getByRole('heading', { name: 'Decision confirmed' })).toBeVisible();
  await expect(page.getByText(/confirmed Ingrid Solberg/)).toBeVisible();
  await expect(page.getByText('No witness is configured')).toBeVisible();
  await expectAccessible(page);
  const [evidence] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the evidence' }).click()]);
  expect(evidence.suggestedFilename()).toMatch(/^tollbook-meridian-dcn_[0-9a-f]{32}\.zip$/);

  await page.goto(`${web_url}/changes/${move.id}`);
  await expect(page.getByText(/\$\d[\d,]*\.\d\d/).first()).toBeVisible(); // what it would have moved
  await expectAccessible(page);
  await approve(move);
  await page.getByRole('button', { name: /Ingrid Solberg/ }).click();
  await expect(page.getByRole('heading', { name: 'Decision confirmed' })).toBeVisible();
  const after = await spend(request, 'CC-5300', 'P-5100-03');
  expect(after.path).toContain('CC-5300');
  expect(after.path).not.toContain('CC-5100');
  expect((await placed(request, before.id)).path, 'what was charged stays').toBe(before.path);
  expect(complaints).toEqual([]);

  // The auditor takes the month home.
  const auditor = await browser.newPage();
  await signIn(auditor, 'auditor');
  const dir = mkdtempSync(join(tmpdir(), 'tollbook-confirm-'));
  const record = async () => {
    await auditor.goto(`${web_url}/log?action=change.applied&subject=${rename.id}`);
    await auditor.locator('a[data-row]').first().click();
    return auditor.getByText('waits for its place').count();
  };
  await expect.poll(record, { timeout: 90_000 }).toBe(0);
  await auditor.goto(`${web_url}/log/export`);
  const [zip] = await Promise.all([auditor.waitForEvent('download'), auditor.getByRole('button', { name: 'Export', exact: true }).click()]);
  const [keys] = await Promise.all([auditor.waitForEvent('download'), auditor.getByRole('link', { name: 'Download' }).click()]);
  await zip.saveAs(join(dir, 'log.zip'));
  await keys.saveAs(join(dir, 'keys.txt'));

  const issuer = `${web_url}/idp`;
  const discovery = await (await request.get(`${issuer}/.well-known/openid-configuration`)).json();
  const published = await (await request.get(discovery.jwks_uri)).json();
  writeFileSync(join(dir, 'issuers.json'), JSON.stringify([{ issuer, keys: published.keys }]));
  const verify = (...more: string[]) => execFileSync(process.env.TOLLBOOK_BINARY ?? 'tollbook', ['verify', join(dir, 'log.zip'), '--log-keys', join(dir, 'keys.txt'), ...more], { encoding: 'utf8' });
  expect(verify()).toContain('whose keys are from the export itself');
  const said = verify('--issuer-keys', join(dir, 'issuers.json'));
  expect(said).toContain('the keys of --issuer-keys agree');
  expect(said).toContain('the issuer confirmed this person, then, for this digest');
  writeFileSync(join(dir, 'strangers.json'), JSON.stringify([{ issuer, keys: published.keys.map((key: { kid: string }) => ({ ...key, kid: 'another' })) }]));
  expect(() => verify('--issuer-keys', join(dir, 'strangers.json'))).toThrow(/do not hold key/);
  await auditor.close();
});

/** Sends a request for a project, and waits until it is charged. */
async function spend(request: APIRequestContext, key: string, project: string): Promise<{ id: string; path: string }> {
  const { gateway_url, virtual_keys } = card();
  let event = '';
  // A gateway follows a decision within a second.
  await expect.poll(async () => {
    const answer = await request.post(`${gateway_url}/v1/messages`, {
      headers: { 'x-api-key': virtual_keys[key] ?? '', 'anthropic-version': '2023-06-01', 'x-tollbook-project': project },
      data: { model: 'claude-haiku-4-5', max_tokens: 20, messages: [{ role: 'user', content: 'Where does this go?' }] },
    });
    event = answer.headers()['x-tollbook-request-id'] ?? '';
    return [answer.status(), answer.headers()['x-tollbook-cost-center']].join(' ');
  }, { timeout: 15_000 }).toBe(`200 ${project}`);
  await expect.poll(async () => (await placed(request, event)).path, { timeout: 15_000 }).not.toBe('');
  return placed(request, event);
}

async function placed(request: APIRequestContext, event: string): Promise<{ id: string; path: string }> {
  const { web_url, api_tokens } = card();
  const answer = await request.get(`${web_url}/api/v1/usage?node=BU-20&limit=200`, { headers: { authorization: `Bearer ${api_tokens.auditor}` } });
  const row = (await answer.json()).data.find((one: { id: string }) => one.id === event);
  return { id: event, path: row?.node?.path ?? '' };
}

async function nodeId(request: APIRequestContext, code: string): Promise<string> {
  const { web_url, api_tokens } = card();
  const answer = await request.get(`${web_url}/api/v1/nodes?limit=500`, { headers: { authorization: `Bearer ${api_tokens.finance_admin}` } });
  const node = (await answer.json()).data.find((one: { code: string }) => one.code === code);
  return node.id;
}

async function propose(request: APIRequestContext, token: string | undefined, ask: object): Promise<Change> {
  const answer = await request.post(`${card().web_url}/api/v1/changes`, { headers: { authorization: `Bearer ${token}` }, data: ask });
  expect(answer.status(), await answer.text()).toBe(201);
  return answer.json();
}

/** Decides as the person of a page, by the form that their session may send. */
async function decide(page: Page, change: Change): Promise<void> {
  const form = { digest: change.digest, verdict: 'approve', reason: 'agreed' };
  const answer = await page.request.post(`${card().web_url}/changes/${change.id}/decision`, { form, maxRedirects: 0 });
  expect(answer.status(), await answer.text()).toBe(303);
}
