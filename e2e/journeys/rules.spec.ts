// Attribution rules: an engineering admin writes a proposal, replays last month and
// proposes; somebody in finance sees it wait, its dollars, and asks which rule fires.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

test('the engineering admin proposes attribution rules and finance sees what they move', async ({ page, browser }) => {
  const complaints = watch(page);
  const code = `haiku-${Date.now()}`;
  await signIn(page, 'engineering_admin');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Attribution rules' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Attribution rules');
  await expectAccessible(page);
  await page.goto(`${card().web_url}/rules/edit?new=1`);
  await page.getByRole('textbox', { name: /^Code/ }).fill(code);
  await page.getByLabel('What it is for').fill('Small models are the platform team’s');
  await page.getByLabel('Condition 1').selectOption('model');
  await page.getByLabel('Is any of').first().fill('claude-haiku-*');
  await page.getByLabel('Node 1, its code').fill('CC-6200');
  await page.getByLabel('Per cent').first().fill('40');
  await page.getByLabel('Node 2, its code').fill('CC-4100');
  await page.getByLabel('Per cent').nth(1).fill('50');
  await page.getByRole('button', { name: 'Keep this rule' }).click();
  await expect(page.getByRole('alert')).toContainText('come to 900000 parts per million');
  await expectAccessible(page);
  await page.getByLabel('Per cent').nth(1).fill('60');
  await page.getByRole('button', { name: 'Keep this rule' }).click();
  await expect(page.getByRole('cell', { name: /^Model asked for is claude-haiku-…/ }).first()).toBeVisible();

  await page.getByLabel('Why').fill('agreed with the platform team');
  await page.getByRole('button', { name: 'Replay last month' }).click();
  await expect(page.getByRole('heading', { name: /^What these rules would have done in/ })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Each node’s own charge' }).or(page.getByRole('heading', { name: "Each node's own charge" }))).toBeVisible();
  await expect(page.getByLabel('Why')).toHaveValue('agreed with the platform team');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Propose', exact: true }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);
  await expect(page.getByText('agreed with the platform team').first()).toBeVisible();

  const other = await (await browser.newContext()).newPage();
  await signIn(other, 'finance_admin');
  await other.goto(`${card().web_url}/rules`);
  await other.getByRole('row', { name: /agreed with the platform team/ }).first().getByRole('link', { name: /^Replay/ }).click();
  await expect(other.getByRole('heading', { level: 1 })).toHaveText(/^Replay of/);
  await expect(other.getByText('Requests that move')).toBeVisible();
  await expectAccessible(other);
  await other.getByRole('link', { name: 'Attribution rules' }).first().click();
  await other.getByRole('link', { name: 'Test', exact: true }).click();
  await other.getByLabel('Model asked for').fill('claude-haiku-5-5');
  await other.getByRole('button', { name: 'Ask' }).nth(1).click();
  await expect(other.getByRole('heading', { name: 'Answer' })).toBeVisible();
  await expectAccessible(other);
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]); // the refused form is a 422
});
