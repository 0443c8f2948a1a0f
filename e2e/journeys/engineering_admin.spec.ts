// The engineering admin reads the hierarchy, moves a project by the keyboard, by dragging
// and by the form, sees what it moves and who decides, and proposes it: nothing has moved.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

test('moves a project by the keyboard and proposes it', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'engineering_admin');
  await page.getByRole('link', { name: 'Hierarchy', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Hierarchy' })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole('link', { name: 'Self-service booking', exact: true }).focus();
  await page.keyboard.press('m');
  await expect(page.locator('#status')).toContainText('Moving P-5400-01');
  // How many rows lie between depends on what others moved meanwhile.
  const status = page.locator('#status');
  for (let up = 0; up < 8 && !(await status.textContent())?.includes('Below CC-5300 Depot software'); up++) {
    const before = await status.textContent();
    await page.keyboard.press('ArrowUp');
    await expect(status).not.toHaveText(before ?? '');
  }
  await expect(status).toContainText('Below CC-5300');
  await page.keyboard.press('Enter');

  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Move P-5400-01 to CC-5300');
  await expect(page).toHaveURL(/\/nodes\/change\?op=move&code=P-5400-01&parent=CC-5300/);
  await expect(page.getByRole('heading', { name: 'Who would decide' })).toBeVisible();
  await expect(page.getByRole('row', { name: /Depot software/ })).toContainText('▲');
  await expectAccessible(page);

  const next = new Date();
  next.setUTCDate(1);
  next.setUTCMonth(next.getUTCMonth() + 2);
  const day = next.toISOString().slice(0, 10);
  await page.getByLabel('Takes effect').fill(day);
  await page.getByRole('button', { name: 'Show it as of then' }).click();
  await expect(page.getByRole('heading', { name: 'What changes' })).toBeVisible();
  expect(complaints).toEqual([]); // a refused form is one
  await page.getByRole('button', { name: 'Propose' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page.getByLabel('Takes effect')).toHaveValue(day);
  await page.getByLabel('Why').fill('The depots run the booking from next year.');
  await page.getByRole('button', { name: 'Propose' }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);

  await page.goto(card().web_url + `/nodes?as_of=${day}&q=P-5400-01`);
  await expect(page.getByRole('row', { name: /Customer portal/ })).toBeVisible();
  await expect(page.getByRole('row', { name: /Depot software/ })).toHaveCount(0);
});

test('moves by dragging, and by the form alone', async ({ page }) => {
  await signIn(page, 'engineering_admin');
  await page.goto(card().web_url + '/nodes');
  await page.getByRole('row', { name: /Dispatch rewrite/ }).dragTo(page.locator('#n-CC-5200'));
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Move P-5100-03 to CC-5200');

  await page.goto(card().web_url + '/nodes');
  await page.getByRole('link', { name: 'Move… P-5100-03' }).click();
  await page.getByLabel(/^Below, by its code/).fill('CC-5400');
  await page.getByRole('button', { name: 'Show what it does' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Move P-5100-03 to CC-5400');
  await page.getByLabel('Operation', { exact: true }).selectOption('Capitalization');
  await page.getByLabel('Node, by its code').fill('P-5100-03');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await expect(page.getByRole('group', { name: /^Evidence/ })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('combobox', { name: 'Capitalization' }).selectOption('Expense');
  await page.getByRole('button', { name: 'Show what it does' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('2 operations on the hierarchy');
  await expect(page.getByRole('row', { name: /^Expensed/ })).toContainText('▲');
});

test('compares two dates, goes back by the slider, and checks a file', async ({ page }) => {
  await signIn(page, 'engineering_admin');
  await page.goto(card().web_url + '/nodes');
  await page.getByRole('slider').focus();
  await page.keyboard.press('Home');
  await expect(page).toHaveURL(/as_of=\d{4}-/);
  await page.goto(card().web_url + '/nodes?from=2020-01-01');
  await expect(page.getByText(/22 created/)).toBeVisible();
  await expectAccessible(page);

  await page.goto(card().web_url + '/nodes/import');
  await page.getByLabel('Or its text').fill('code,name,kind,parent_code\nCC-5300,Depot systems,cost_center,BU-20\nCC-5500,Charging,cost_center,BU-20\n');
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByText(/1 created, 1 changed/)).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Back to the file' }).click();
  await page.getByLabel('Or its text').fill('code,kind\nCC-5300,team\n');
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByRole('alert')).toContainText('nothing was taken');
  await expectAccessible(page);
});
