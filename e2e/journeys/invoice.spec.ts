// What the provider bills: entered, compared, split and booked by two.
import { expect, test } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

/** Two months ago, which is over for every gateway: its first and last day. */
function cycle(): { from: string; through: string; issued: string; due: string; month: string } {
  const now = new Date();
  const day = (month: number, date: number) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + month, date)).toISOString().slice(0, 10);
  return { from: day(-2, 1), through: day(-1, 0), issued: day(-1, 2), due: day(0, 2), month: day(-2, 1).slice(0, 7) };
}

test('finance enters an invoice, sees what it is made of, and a controller books it', async ({ page, browser }) => {
  const c = cycle();
  const { web_url, api_tokens } = card();
  const answer = await page.request.get(`${web_url}/api/v1/chargeback?period=${c.month}`, { headers: { authorization: `Bearer ${api_tokens.finance_admin}` } });
  const charged = Number((await answer.json()).total).toFixed(2); // the provider's invoice is in cents
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.getByRole('link', { name: 'Invoices' }).click();
  await page.getByRole('link', { name: 'Enter an invoice' }).click();
  await expectAccessible(page);
  const number = `INV-${c.month}`;
  for (const [label, value] of [['Invoice number', number], ['Issued on', c.issued], ['Due on', c.due], ['Bills days from', c.from], ['Through', c.through], ['Total', (Number(charged) + 1.25).toFixed(2)]] as const) {
    await page.getByLabel(label).fill(value);
  }
  await page.getByLabel('What line 1 is for').fill('Claude API');
  await page.getByLabel('Amount of line 1').fill(charged);
  await page.getByLabel('Kind of line 2').selectOption('tax');
  await page.getByLabel('What line 2 is for').fill('sales tax');
  await page.getByLabel('Amount of line 2').fill('1.26');
  await page.getByRole('button', { name: 'Check it' }).click();
  await expect(page.getByRole('alert')).toContainText('is missing');
  await page.getByLabel('Amount of line 2').fill('1.25');
  await page.getByRole('button', { name: 'Check it' }).click();
  await expect(page.getByRole('heading', { name: '1 invoice to enter' })).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('The paper it came as').setInputFiles({ name: `${number}.pdf`, mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.7\n') });
  await page.getByLabel('Reason').fill('it came by mail');
  await page.getByRole('button', { name: 'Enter' }).click();

  await expect(page.getByRole('heading', { name: `Invoice ${number}` })).toBeVisible();
  await expect(page.getByText('every part of the difference has its name')).toBeVisible();
  await expect(page.getByRole('row', { name: /^Rounding invoices are in cents/ })).toBeVisible();
  await expect(page.getByRole('link', { name: `${number}.pdf` })).toBeVisible();
  await expectAccessible(page);
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  const cents = readFileSync(await file.path(), 'utf8').trim().split('\n').slice(1).reduce((sum, line) => sum + Math.round(Number(line.split(',').at(-1)) * 100), 0);
  expect(cents, 'the shares are the invoice').toBe(Math.round((Number(charged) + 1.25) * 100));
  await page.getByLabel('Reason').fill('as it is split');
  await page.getByRole('button', { name: 'Propose to book it' }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);
  await expect(page.getByRole('button', { name: /^Approve/ })).toHaveCount(0);
  await expectAccessible(page);

  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await controller.goto(page.url());
  await expect(controller.getByText(/takes the place of/).first()).toBeVisible();
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed with the bank');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();
  await controller.goto(`${web_url}/invoices?period=${c.month}`);
  await controller.getByRole('link', { name: number, exact: true }).click();
  await controller.getByRole('link', { name: /^Journal \d+$/ }).click();
  await expect(controller.getByRole('row', { name: /^Payable/ })).toContainText((Number(charged) + 1.25).toFixed(2).replace(/\B(?=(\d{3})+(?!\d))/g, ','));
  expect(complaints.filter((text) => !text.includes('422'))).toEqual([]); // the one refusal above
});

test('a file with an error is refused whole', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await page.goto(card().web_url + '/invoices/new');
  await page.getByLabel('Or its text').fill('number,total\n1,2\n');
  await page.getByRole('button', { name: 'Check the file' }).click();
  await expect(page.getByRole('heading', { name: 'What is wrong' })).toBeVisible();
  await expect(page.getByRole('cell', { name: /is no column here/ }).first()).toBeVisible();
  await expectAccessible(page);
});
