// What the provider reports: from a pull to the bytes that came, compared with their digest, and another source proposed.
import { expect, test, type Page } from '@playwright/test';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

async function open(page: Page, path: string): Promise<void> {
  await page.goto(card().web_url + path);
}

test('an auditor compares a page of a pull with its digest', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'auditor');
  await open(page, '/settings');
  await page.getByRole('link', { name: 'Provider reports' }).click();
  await expect(page.getByRole('heading', { name: 'Provider reports' })).toBeVisible();
  await expectAccessible(page);
  // The clock pulls the history by and by, the latest day first.
  await expect(async () => {
    await open(page, '/settings/provider?report=cost&state=finished');
    await expect(page.getByRole('link', { name: /^Pull \d+$/ }).first()).toBeVisible({ timeout: 1000 });
  }).toPass({ timeout: 120_000 });
  await page.locator('tbody a[data-row]').last().click();
  await expect(page.getByRole('heading', { name: /^Pull \d+: cost of / })).toBeVisible();
  await expectAccessible(page);
  const link = page.getByRole('link', { name: '1, .json' });
  const [file] = await Promise.all([page.waitForEvent('download'), link.click()]);
  const bytes = readFileSync(await file.path());
  const sum = createHash('sha256').update(bytes).digest('hex');
  await expect(page.getByText(sum.slice(0, 16)).first()).toBeVisible();
  const listed: string[] = JSON.parse(bytes.toString()).data.map((row: { cost: { list_amount: string } }) => row.cost.list_amount);
  const cents = listed.reduce((total, amount) => total + BigInt(amount.replace('.', '')), 0n); // ten decimals of a cent
  const dollars = `${cents / 10n ** 12n}.${(cents % 10n ** 12n).toString().padStart(12, '0')}`;
  await expect(page.getByRole('row', { name: /^All/ }).getByRole('cell', { name: dollars, exact: true }).first()).toBeVisible();
  expect(complaints).toEqual([]);
});

test('a finance admin proposes another lag, and sees what it would do', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await open(page, '/settings/provider');
  await page.getByLabel('Settled after').fill('999');
  await page.getByLabel('Why').fill('the provider is slow');
  await page.getByRole('button', { name: 'Propose the source' }).click();
  await expect(page.getByRole('alert')).toContainText('1 to 720 hours');
  await expectAccessible(page);
  await page.getByLabel('Settled after').fill('48');
  await page.getByRole('button', { name: 'Propose the source' }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);
  await expect(page.getByText(/a day settles after 48 hours/).first()).toBeVisible();
});
