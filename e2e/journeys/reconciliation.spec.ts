// A day against the provider's reports: a discrepancy planted at the provider is found with its class and amount, assigned, explained with evidence, reviewed by a second person, and the day is signed by both.
import { expect, test, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

async function open(page: Page, path: string): Promise<void> {
  await page.goto(card().web_url + path);
}

const day = new Date(Date.now() - 6 * 86400e3).toISOString().slice(0, 10);

test('a planted exception is found, explained by one person and reviewed by another', async ({ page, browser, request }) => {
  test.setTimeout(240_000);
  const complaints = watch(page);
  const planted = await request.post(card().web_url + '/sim/books/plant', {
    data: { class: 'extra', occurred_at: `${day}T12:00:00Z`, api_key_id: 'apikey_elsewhere', model: 'claude-opus-4-8', tokens: { input: 1_000_000, output: 100_000 } },
  });
  expect(planted.ok()).toBeTruthy();

  await signIn(page, 'finance_admin');
  await open(page, '/settings/provider');
  await page.locator('#again-day').fill(day);
  await page.getByRole('button', { name: 'Pull it again' }).click();
  await expect(async () => {
    await open(page, `/reconciliation/${day}`);
    await expect(page.getByRole('link', { name: /^Variance \d+$/ })).toBeVisible({ timeout: 1000 });
  }).toPass({ timeout: 180_000 });
  await expect(page.getByText('! Tested against a simulator')).toBeVisible();
  // $5 of a million tokens of input, $2.50 of a hundred thousand of output.
  await expect(page.getByRole('cell', { name: '+5.000000000000' })).toBeVisible();
  await expect(page.getByRole('cell', { name: '+2.500000000000' })).toBeVisible();
  await expect(page.getByRole('rowheader', { name: 'Key apikey_elsewhere' })).toBeVisible();
  await expect(page.getByText('A variance of this day is open')).toBeVisible();
  await expectAccessible(page);
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  expect(readFileSync(await file.path(), 'utf8')).toContain('bypass,key,apikey_elsewhere,claude-opus-4-8');

  await page.getByRole('link', { name: /^Variance \d+$/ }).click();
  await expect(page.getByRole('heading', { name: /^Variance \d+$/ })).toBeVisible();
  const variance = page.url();
  await expectAccessible(page);
  await page.getByLabel('Who answers for it').selectOption({ index: 0 });
  await page.locator('#assign-note').fill('the owner of that key');
  await page.getByRole('button', { name: 'Assign' }).click();
  await expect(page.getByText('the owner of that key')).toBeVisible();
  await page.getByLabel('Explanation').fill('A trial of another team; its key is revoked as of today.');
  await page.locator('#file').setInputFiles({ name: 'mail.txt', mimeType: 'text/plain', buffer: Buffer.from('It was us. Revoked.') });
  await page.getByRole('button', { name: 'Explain' }).click();
  await expect(page.getByText('Explained').first()).toBeVisible();
  await expect(page.getByRole('link', { name: 'mail.txt' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Review it' })).toHaveCount(0);

  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await controller.goto(variance);
  await expectAccessible(controller);
  await controller.locator('#review-note').fill('seen, with the mail');
  await controller.getByRole('button', { name: 'Accept' }).click();
  await expect(controller.getByText('Review: accepted')).toBeVisible();

  await open(page, `/reconciliation/${day}`);
  await page.getByLabel('Note').fill('as shown');
  await page.getByRole('button', { name: 'Sign as preparer' }).click();
  await expect(page.getByText('Exception, resolved')).toBeVisible();
  await open(controller, `/reconciliation/${day}`);
  await controller.getByLabel('Note').fill('as shown');
  await controller.getByRole('button', { name: 'Sign as reviewer' }).click();
  await expect(controller.getByRole('button', { name: /^Sign as/ })).toHaveCount(0);
  await open(controller, `/reconciliation?period=${day.slice(0, 7)}`);
  await expect(controller.getByRole('row', { name: new RegExp(`${Number(day.slice(8))} `) }).first()).toBeVisible();
  await expectAccessible(controller);
  await open(controller, '/variances?state=resolved');
  await expect(controller.getByText('with key apikey_elsewhere claude-opus-4-8').first()).toBeVisible();
  await expectAccessible(controller);
  expect(complaints).toEqual([]);
  await controller.close();
});
