// What is sent at close: built, verified offline, and in the mail of a recipient two people agreed on.
import { expect, test } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { card, expectAccessible, signIn, watch } from './support.js';

/** The month before last: over for every gateway. */
function month(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 2, 1)).toISOString().slice(0, 7);
}

const tollbook = (...args: string[]): string => execFileSync(process.env.TOLLBOOK_BINARY ?? 'tollbook', args, { encoding: 'utf8' });

test('finance builds a draft, anybody verifies it, and the mail holds it', async ({ page, browser }) => {
  const { web_url } = card();
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.getByRole('link', { name: 'Packets' }).click();
  await page.goto(`${web_url}/packets?period=${month()}`);
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Build a draft now' }).click();
  await expect(page.getByRole('heading', { name: /^Packet \d{4}-\d{2}, revision \d+$|^No figure has changed$/ })).toBeVisible({ timeout: 60_000 });
  const same = page.getByRole('link', { name: 'Open it' }); // a demo that this journey went through before
  if (await same.isVisible()) await same.click();
  await expect(page.getByText('… DRAFT')).toBeVisible();
  await expect(page.getByText('✓ Sealed')).toBeVisible();
  await expectAccessible(page);
  const packet = page.url();

  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the packet' }).click()]);
  const zip = await file.path();
  expect(file.suggestedFilename()).toMatch(/^meridian-\d{4}-\d{2}-r\d+-DRAFT\.zip$/);
  const said = tollbook('verify', zip);
  expect(said).toContain('GOOD');
  expect(said).toContain('balances in each entry, entity and currency');
  expect(said).toContain('every file says what they say');
  for (const name of ['figures.json', 'focus.csv', 'focus.parquet']) await expect(page.getByRole('link', { name })).toBeVisible();
  const [book] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'chargeback.xlsx' }).click()]);
  expect(execFileSync('unzip', ['-p', await book.path(), 'xl/pivotCache/pivotCacheDefinition1.xml'], { encoding: 'utf8' })).toMatch(/refreshOnLoad="true".*sheet="Pivot data"/);
  const [pdf] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'summary.pdf' }).click()]);
  const text = execFileSync('pdftotext', ['-layout', await pdf.path(), '-'], { encoding: 'utf8' });
  for (const words of ['DRAFT', 'Top movers', 'From the month before, and from plan', 'By cost center', 'Reconciliation by day', 'Sign-off', 'tollbook verify']) expect(text).toContain(words);

  const address = `cfo-${Date.now()}@meridian.example`;
  await page.goto(`${web_url}/packets/recipients`);
  await page.getByLabel('Kind').selectOption('mail');
  await page.getByLabel('Label').fill(address);
  await page.getByLabel('Address').fill(address);
  await page.getByLabel('Why').fill('reads the close');
  await page.getByRole('button', { name: 'Propose' }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);
  const change = page.url();
  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await controller.goto(change);
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();

  await page.goto(packet);
  await page.getByLabel('Recipient').selectOption({ label: `${address}, mail` });
  await page.getByRole('button', { name: 'Send now' }).click();
  const row = page.getByRole('row', { name: new RegExp(address.replaceAll('.', '\\.')) });
  await expect(async () => {
    await page.reload();
    await expect(row.getByText('✓ Accepted')).toBeVisible({ timeout: 1000 });
  }).toPass({ timeout: 60_000 });
  await page.goto(`${web_url}/packets/recipients`);
  await expect(page.getByRole('row', { name: new RegExp(address.replaceAll('.', '\\.')) }).getByText('✓ Live')).toBeVisible();
  await expectAccessible(page);

  const mail = await browser.newPage();
  await mail.goto(`${web_url}/mail`);
  await mail.getByRole('row', { name: new RegExp(address.replaceAll('.', '\\.')) }).getByRole('link').click();
  await expect(mail.getByRole('heading', { level: 1 })).toContainText(/Close packet \d{4}-\d{2}, revision \d+, DRAFT/);
  const [attached] = await Promise.all([mail.waitForEvent('download'), mail.getByRole('link', { name: /-DRAFT\.zip$/ }).click()]);
  const copy = join(mkdtempSync(join(tmpdir(), 'packet-')), 'mailed.zip');
  await attached.saveAs(copy);
  expect(tollbook('verify', copy)).toContain('GOOD');
  writeFileSync(copy, Buffer.concat([Buffer.from('PK'), Buffer.from('broken')]));
  expect(() => tollbook('verify', copy)).toThrow();
  expect(complaints).toEqual([]);
});
