// Three months of traffic become books: reconciled with the provider's reports, billed, closed by two people, posted
// and sent. It has a demo of its own, since it closes every month.
import { expect, test, type APIRequestContext, type Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { card, expectAccessible, signIn, watch } from '../journeys/support.js';

const now = new Date();

/** A day some months from now, at a date of it. */
function day(month: number, date: number): string {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + month, date)).toISOString().slice(0, 10);
}

const months = [-3, -2, -1].map((of) => ({ of, name: day(of, 1).slice(0, 7), from: day(of, 1), through: day(of + 1, 0) }));
const last = months[2]!;
const planted = day(-1, 14);
const tollbook = (...args: string[]): string => execFileSync(process.env.TOLLBOOK_BINARY ?? 'tollbook', args, { encoding: 'utf8' });

async function ask<T>(request: APIRequestContext, path: string): Promise<T> {
  const answer = await request.get(`${card().web_url}${path}`, { headers: { authorization: `Bearer ${card().api_tokens.controller}` } });
  expect(answer.ok(), `${path}: ${await answer.text()}`).toBeTruthy();
  return (await answer.json()) as T;
}

type Day = { day: string; state: string; unexplained: string; unresolved: number };

async function days(request: APIRequestContext, month: string): Promise<Day[]> {
  return (await ask<{ data: Day[] }>(request, `/api/v1/reconciliations?period=${month}`)).data;
}

/** What the provider's own books say a month comes to, in cents. */
async function billed(request: APIRequestContext, m: { from: string; of: number }): Promise<number> {
  const answer = await request.get(`${card().simulator_url}/books/totals?from=${m.from}&to=${day(m.of + 1, 1)}`);
  const [dollars, rest] = ((await answer.json()) as { amount: string }).amount.split('.');
  return Number(dollars) * 100 + Math.round(Number(`0.${rest}`) * 100);
}

const money = (cents: number): string => (cents / 100).toFixed(2);

/** The controller approves what somebody just proposed. */
async function approve(controller: Page, page: Page): Promise<void> {
  await expect(page).toHaveURL(/\/changes\/chg_/);
  await controller.goto(page.url());
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();
}

/** Signs a step of a month's checklist by two; one that cannot be signed is left out for a reason, where there is one. */
async function step(page: Page, controller: Page, month: string, name: string, without?: string): Promise<void> {
  await page.goto(`${month}/${name}`);
  const sign = page.getByRole('button', { name: 'Sign as prepared' });
  if (!(await sign.isVisible())) {
    expect(without, `${name} of ${month} cannot be signed: ${await page.locator('main').innerText()}`).toBeTruthy();
    await page.getByLabel('Why this month is closed without it').fill(without!);
    await page.getByRole('button', { name: 'Propose to leave it out' }).click();
    return approve(controller, page);
  }
  await page.locator('#note').fill('looked at; it is as it should be');
  await sign.click();
  await expect(page).toHaveURL(/#steps$/);
  await controller.goto(`${month}/${name}`);
  await controller.getByRole('button', { name: 'Sign as reviewed' }).click();
  await expect(controller).toHaveURL(/#steps$/);
}

async function move(page: Page, controller: Page, month: string, button: string, after: string): Promise<void> {
  await page.goto(month);
  const panel = page.locator('form').filter({ has: page.getByRole('button', { name: button }) });
  await panel.getByLabel('Why').fill('month end');
  await panel.getByRole('button', { name: button }).click();
  if (button.startsWith('Propose')) await approve(controller, page);
  await page.goto(month);
  await expect(page.getByText(after).first()).toBeVisible();
}

const before = ['usage', 'prices', 'reconciliation', 'invoice', 'suspense', 'accrual', 'allocation', 'unexplained', 'capitalization', 'commentary', 'journal-review'];

test.use({ actionTimeout: 60_000 });

test('three months are reconciled, billed, closed by two, posted and sent', async ({ page, browser, request }) => {
  test.setTimeout(1_500_000);
  const complaints = watch(page);
  const { web_url } = card();
  const found = await request.post(`${web_url}/sim/books/plant`, {
    data: { class: 'extra', occurred_at: `${planted}T12:00:00Z`, api_key_id: 'apikey_elsewhere', model: 'claude-opus-4-8', tokens: { input: 1_000_000, output: 100_000 } },
  });
  expect(found.ok()).toBeTruthy();
  const controller = await browser.newPage();
  await signIn(page, 'finance_admin');
  await signIn(controller, 'controller');

  await test.step('somebody is sent each packet', async () => {
    await page.goto(`${web_url}/packets/recipients`);
    await page.getByLabel('Kind').selectOption('mail');
    await page.getByLabel('Label').fill('CFO');
    await page.getByLabel('Address').fill('cfo@meridian.example');
    await page.getByLabel('Why').fill('reads the close');
    await page.getByRole('button', { name: 'Propose' }).click();
    await approve(controller, page);
  });

  await test.step('every day is held against the provider’s reports', async () => {
    await page.goto(`${web_url}/settings/provider`);
    await page.locator('#again-day').fill(planted); // it may have been pulled before the plant
    await page.getByRole('button', { name: 'Pull it again' }).click();
    await expect(async () => {
      for (const m of months) {
        for (const d of await days(request, m.name)) expect(d.state, d.day).not.toMatch(/no_report|provisional/);
      }
      expect((await days(request, last.name)).find((d) => d.day === planted)?.state).toBe('exception');
    }).toPass({ timeout: 600_000, intervals: [5000] });
    for (const m of months) {
      for (const d of await days(request, m.name)) {
        expect(d.unexplained, d.day).toBe('0.000000000000');
        if (d.day !== planted) expect(d.unresolved, `${d.day}: nothing was planted`).toBe(0);
      }
    }
  });

  await test.step('the planted exception is found, explained and reviewed', async () => {
    await page.goto(`${web_url}/reconciliation/${planted}`);
    await expect(page.getByRole('cell', { name: '+5.000000000000' })).toBeVisible();
    await expect(page.getByRole('cell', { name: '+2.500000000000' })).toBeVisible();
    await page.getByRole('link', { name: /^Variance \d+$/ }).click();
    await expect(page.getByRole('heading', { name: /^Variance \d+$/ })).toBeVisible();
    const variance = page.url();
    await page.getByLabel('Who answers for it').selectOption({ index: 0 });
    await page.locator('#assign-note').fill('the owner of that key');
    await page.getByRole('button', { name: 'Assign' }).click();
    await page.getByLabel('Explanation').fill('A trial of another team; its key is revoked as of today.');
    await page.locator('#file').setInputFiles({ name: 'mail.txt', mimeType: 'text/plain', buffer: Buffer.from('It was us. Revoked.') });
    await page.getByRole('button', { name: 'Explain' }).click();
    await controller.goto(variance);
    await controller.locator('#review-note').fill('seen, with the mail');
    await controller.getByRole('button', { name: 'Accept' }).click();
    await expect(controller.getByText('Review: accepted')).toBeVisible();
    for (const [who, button] of [[page, 'Sign as preparer'], [controller, 'Sign as reviewer']] as const) {
      await who.goto(`${web_url}/reconciliation/${planted}`);
      await who.getByLabel('Note').fill('as shown');
      await who.getByRole('button', { name: button }).click();
      await expect(who.getByRole('button', { name: button })).toHaveCount(0);
    }
  });

  await test.step('the provider’s invoices are loaded, matched and booked', async () => {
    const lines = ['invoice_number,workspace,issued_on,due_on,service_from,service_through,currency,kind,description,amount,invoice_total'];
    for (const m of months) {
      const cents = (await billed(request, m)) + (m === last ? 750 : 0); // what was planted is billed, too
      lines.push(`INV-${m.name},default,${day(m.of + 1, 2)},${day(m.of + 2, 2)},${m.from},${m.through},USD,usage,Claude API,${money(cents)},${money(cents)}`);
    }
    await page.goto(`${web_url}/invoices/new`);
    await page.getByLabel('Or its text').fill(lines.join('\n') + '\n');
    await page.getByRole('button', { name: 'Check the file' }).click();
    await expect(page.getByRole('heading', { name: '3 invoices to enter' })).toBeVisible();
    await page.getByLabel('Reason').fill('they came by mail');
    await page.getByRole('button', { name: 'Enter' }).click();
    for (const m of months) {
      await page.goto(`${web_url}/invoices?period=${m.name}`);
      await page.getByRole('link', { name: `INV-${m.name}`, exact: true }).click();
      await expect(page.getByText('every part of the difference has its name')).toBeVisible();
      await page.getByLabel('Reason').fill('as it is split');
      await page.getByRole('button', { name: 'Propose to book it' }).click();
      await approve(controller, page);
    }
    await expectAccessible(page);
  });

  for (const m of months) {
    await test.step(`${m.name} is signed and locked`, async () => {
      const month = `${web_url}/close/${m.name}`;
      await move(page, controller, month, 'Begin to close', '◐ Closing');
      for (const name of before) await step(page, controller, month, name, name === 'prices' ? 'broken streams, whose cost is an estimate' : undefined);
      await move(page, controller, month, 'Propose to lock', '■ Locked');
    });
  }

  const mailbox = await browser.newPage();
  for (const m of months) {
    await test.step(`the journal of ${m.name} is posted, its packet arrived, and it is closed`, async () => {
      await page.goto(`${web_url}/exports?period=${m.name}`);
      const netsuite = page.getByRole('region', { name: 'NetSuite' });
      await netsuite.getByRole('button', { name: 'Make the files for NetSuite' }).click();
      const external: string[] = [];
      const compact = m.name.replace('-', '');
      for (const link of await netsuite.getByRole('link', { name: new RegExp(`^Download TB-meridian-${compact}-US\\d+-1$`) }).all()) {
        const [file] = await Promise.all([page.waitForEvent('download'), link.click()]);
        const text = readFileSync(await file.path(), 'utf8');
        expect(text).not.toContain('DRAFT');
        external.push(file.suggestedFilename().replace('-netsuite.csv', ''));
      }
      expect(external.length).toBeGreaterThan(0);
      const ids = ['external_id,erp_id,posted_on', ...external.map((id, i) => `${id},JE-${compact}-${i},${m.through}`)].join('\n') + '\n';
      await netsuite.getByRole('link', { name: external[0]!, exact: true }).click();
      await page.locator('#upload').setInputFiles({ name: 'ids.csv', mimeType: 'text/csv', buffer: Buffer.from(ids) });
      await page.getByRole('button', { name: 'Keep the ids' }).click();
      await expect(page.getByLabel(`Id of ${external[0]!}`)).toHaveValue(`JE-${compact}-0`);

      await expect(async () => {
        await mailbox.goto(`${web_url}/mail`);
        await expect(mailbox.getByRole('row', { name: new RegExp(`cfo@meridian\\.example.*Close packet ${m.name}`) }).first()).toBeVisible({ timeout: 1000 });
      }).toPass({ timeout: 420_000, intervals: [3000] }); // what is due is looked at every few minutes
      const month = `${web_url}/close/${m.name}`;
      await step(page, controller, month, 'exported');
      await page.goto(`${month}/packet`);
      await expect(page.getByText('✓ Done').first()).toBeVisible();
      await move(page, controller, month, 'Propose to close', '✓ Closed');
    });
  }

  await test.step('the mailed packet verifies offline, and its summary is a page that can be read', async () => {
    await mailbox.goto(`${web_url}/mail`);
    await mailbox.getByRole('row', { name: new RegExp(`cfo@meridian\\.example.*Close packet ${last.name}`) }).first().getByRole('link').first().click();
    const [attached] = await Promise.all([mailbox.waitForEvent('download'), mailbox.getByRole('link', { name: /-FINAL\.zip$/ }).click()]);
    const folder = test.info().outputPath('packet');
    mkdirSync(folder, { recursive: true });
    const zip = join(folder, 'packet.zip');
    await attached.saveAs(zip);
    expect(tollbook('verify', zip)).toContain('GOOD');
    await controller.goto(`${web_url}/packets?period=${last.name}`);
    await controller.getByRole('row').filter({ hasText: 'FINAL' }).filter({ hasText: 'Whole company' }).first().getByRole('link').first().click();
    const [paper] = await Promise.all([controller.waitForEvent('download'), controller.getByRole('link', { name: 'summary.pdf' }).click()]);
    const pdf = join(folder, 'summary.pdf');
    await paper.saveAs(pdf);
    const text = execFileSync('pdftotext', ['-layout', pdf, '-'], { encoding: 'utf8' });
    for (const words of ['FINAL', 'Sign-off', `INV-${last.name}`, 'tollbook verify']) expect(text).toContain(words);
    execFileSync('pdftoppm', ['-png', '-r', '80', '-f', '1', '-l', '1', '-singlefile', pdf, join(folder, 'page')]);
    expect(statSync(join(folder, 'page.png')).size, 'the first page as an image').toBeGreaterThan(20_000);
  });
  expect(complaints).toEqual([]);
});
