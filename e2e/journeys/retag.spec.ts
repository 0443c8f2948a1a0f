// Requests that were charged to the wrong place: an engineer picks them, finance decides,
// and every page says where they lie now and by which change.
import { expect, test, type Page } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

async function spend(page: Page): Promise<string> {
  const { gateway_url, virtual_keys } = card();
  const answer = await page.request.post(`${gateway_url}/v1/messages`, {
    headers: { 'x-api-key': virtual_keys['CC-6400'] ?? '', 'anthropic-version': '2023-06-01' },
    data: { model: 'claude-haiku-4-5', max_tokens: 20, messages: [{ role: 'user', content: 'Who pays for this?' }] },
  });
  expect(answer.status(), await answer.text()).toBe(200);
  return answer.headers()['x-tollbook-request-id'] ?? '';
}

test('moves a request that was charged to the wrong cost center', async ({ page, browser }) => {
  const { web_url } = card();
  await signIn(page, 'engineering_admin');
  const event = await spend(page);
  await expect.poll(async () => (await page.goto(`${web_url}/requests/${event}`))?.status(), { timeout: 15_000 }).toBe(200);

  const complaints = watch(page);
  await page.goto(`${web_url}/requests?node=CC-6400`);
  await page.locator(`input[type="checkbox"][value="${event}"]`).check();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Re-tag chosen…' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Re-tag');
  await page.getByLabel('Node 1').fill('CC-6400');
  await page.getByRole('textbox', { name: 'Why', exact: true }).fill('the audit tool is Security’s');
  await page.getByRole('button', { name: /^Propose to re-tag/ }).click();
  await expect(page.getByRole('alert')).toBeVisible(); // that is where it lies already
  await page.getByLabel('Node 1').fill('CC-6200');
  await expectAccessible(page);
  await page.getByRole('button', { name: /^Propose to re-tag/ }).click();
  await expect(page.getByText('You proposed this')).toBeVisible();
  const change = page.url();
  await expect(page.getByRole('button', { name: /^Approve/ })).toHaveCount(0);
  await expectAccessible(page);

  const finance = await (await browser.newContext()).newPage();
  await signIn(finance, 'finance_admin');
  await finance.goto(change);
  await expect(finance.getByText('CC-6200').first()).toBeVisible();
  await finance.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed with Security');
  await finance.getByRole('button', { name: /^Approve/ }).click();
  await expect(finance.getByText('✓ Applied')).toBeVisible();
  await expectAccessible(finance);

  await page.goto(`${web_url}/requests/${event}`);
  await expect(page.getByText('CC-6200').first()).toBeVisible();
  await expect(page.locator(`a[href="${new URL(change).pathname}"]`).first()).toBeVisible();
  await expectAccessible(page);
  await page.goto(`${web_url}/requests?node=CC-6200`);
  await expect(page.locator(`a[href="/requests/${event}"]`).first()).toBeVisible();
  expect(complaints.filter((text) => !text.includes('422'))).toEqual([]);
});
