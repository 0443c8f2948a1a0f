// The month-end close: a finance admin and a controller take the example company's first month from open to closed.
import { expect, test, type Page } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

const steps = ['usage', 'prices', 'reconciliation', 'invoice', 'suspense', 'accrual', 'allocation', 'unexplained', 'capitalization', 'commentary', 'journal-review'];

/** The controller approves what the finance admin just proposed. */
async function approve(controller: Page, change: string): Promise<void> {
  await controller.goto(change);
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();
}

test('a month is signed step by step, locked and closed by two people', async ({ page, browser }) => {
  test.setTimeout(900_000);
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await page.getByRole('link', { name: 'Close', exact: true }).click();
  await expectAccessible(page);
  await page.locator('tbody tr').last().getByRole('link').first().click();
  const month = page.url();
  const begin = page.getByRole('button', { name: 'Begin to close' });
  await page.getByLabel('Why').fill('month end');
  await begin.click();
  await expect(page.getByText('◐ Closing').first()).toBeVisible();
  await expect(page.getByRole('heading', { name: 'In the way' })).toBeVisible();
  await expectAccessible(page);

  // A demo that just began has not asked the provider about its first days yet.
  await expect(async () => {
    const answer = await page.request.get(`${card().web_url}/api/v1/reconciliations?period=${month.slice(-7)}`, { headers: { authorization: `Bearer ${card().api_tokens.controller}` } });
    for (const d of ((await answer.json()) as { data: { day: string; state: string }[] }).data) expect(d.state, d.day).not.toMatch(/no_report|provisional/);
  }).toPass({ timeout: 600_000, intervals: [5000] });

  for (const step of steps) {
    await page.goto(`${month}/${step}`);
    const leave = page.getByRole('button', { name: 'Propose to leave it out' });
    if (!(await page.getByRole('button', { name: 'Sign as prepared' }).isVisible())) {
      // The example company has broken streams, whose cost is an estimate: this month is closed with them.
      await page.getByLabel('Why this month is closed without it').fill('broken streams, estimated');
      await leave.click();
      await approve(controller, page.url());
      continue;
    }
    await page.locator('#note').fill('looked at; it is as it should be');
    await page.getByRole('button', { name: 'Sign as prepared' }).click();
    await expect(page).toHaveURL(/\/close\/\d{4}-\d{2}#steps$/);
    await controller.goto(`${month}/${step}`);
    await controller.getByRole('button', { name: 'Sign as reviewed' }).click();
    await expect(controller).toHaveURL(/#steps$/);
  }
  await page.goto(`${month}/accrual`);
  await expect(page.getByText('✓ Counts')).toHaveCount(2);
  await expectAccessible(page);

  for (const [button, after] of [['Propose to lock', '■ Locked'], ['Propose to close', '✓ Closed']] as const) {
    for (const step of button === 'Propose to close' ? ['exported', 'packet'] : []) {
      await page.goto(`${month}/${step}`);
      if (await page.getByText('✓ Done').first().isVisible()) continue;
      await page.getByLabel('Why this month is closed without it').fill('it was posted by hand, before there was Tollbook');
      await page.getByRole('button', { name: 'Propose to leave it out' }).click();
      await approve(controller, page.url());
    }
    await page.goto(month);
    const panel = page.locator('form').filter({ has: page.getByRole('button', { name: button }) });
    await panel.getByLabel('Why').fill('month end');
    await page.getByRole('button', { name: button }).click();
    await expect(page).toHaveURL(/\/changes\/chg_/);
    await approve(controller, page.url());
    await page.goto(month);
    await expect(page.getByText(after).first()).toBeVisible();
  }
  await expect(page.getByText('say the same')).toBeVisible();
  await expectAccessible(page);
  await page.goto(`${card().web_url}/?period=${month.slice(-7)}`);
  await expect(page.getByText(/As closed, revision 1/)).toBeVisible();
  expect(complaints).toEqual([]);
});
