// The operator runs the installation: sees that it is well, looks into a job, and sees
// nothing of a company. To everybody else there is no such page.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

test('the operator watches the installation', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'operator');
  await expect(page).toHaveURL(/\/operator$/);
  await expect(page.getByRole('heading', { name: 'Operator', level: 1 })).toBeVisible();
  await expect(page.getByRole('rowheader', { name: 'meridian' })).toBeVisible();
  await expect(page.getByText('Ready', { exact: true }).first()).toBeVisible();
  await expect(page.locator('main')).not.toContainText('$');
  await page.getByLabel('Name or short name').fill('nobody-here');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page.getByText('No company matches.')).toBeVisible();
  await page.getByRole('link', { name: 'Clear', exact: true }).click();
  await expectAccessible(page);
  const live = page.getByRole('button', { name: /^Live/ });
  await expect(live).toHaveText(/^Live · \d/, { timeout: 40_000 }); // a gateway is heard of every few seconds
  await live.click();
  await expect(live).toHaveText('Live paused');
  const file = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV of companies' }).click();
  expect((await file).suggestedFilename()).toBe('operator-tenants.csv');
  expect(complaints).toEqual([]);
});

test('the operator opens the job queue, and nothing comes from elsewhere', async ({ page }) => {
  const foreign: string[] = [];
  const broken: string[] = [];
  page.on('request', (r) => {
    if (!r.url().startsWith(card().web_url) && !r.url().startsWith('data:')) foreign.push(r.url());
  });
  page.on('pageerror', (error) => broken.push(String(error)));
  await signIn(page, 'operator');
  await page.getByRole('link', { name: 'Job queue', exact: true }).click();
  await page.getByRole('link', { name: /^Completed/ }).click();
  await expect(page.getByText(/^(tick|sequence_audit|notify_change|deliver_notice|sign_log|verify_log|prove_sums)$/).first()).toBeVisible();
  expect(foreign).toEqual([]);
  expect(broken).toEqual([]);
});

for (const role of ['tenant_owner', 'finance_admin', 'developer']) {
  test(`to the ${role} there is no operator's page`, async ({ page }) => {
    await signIn(page, role);
    await expect(page.getByRole('link', { name: 'Operator', exact: true })).toHaveCount(0);
    for (const path of ['/operator', '/operator/live', '/operator/tenants.csv', '/operator/jobs/', '/operator/jobs/api/jobs']) {
      const answer = await page.goto(card().web_url + path);
      expect(answer?.status(), path).toBe(404);
      await expect(page.getByText('There is no such page, or it is not yours to see.')).toBeVisible();
    }
  });
}
