// The finance admin looks at the month, walks a figure down to one request, exports,
// makes and ends a virtual key, reads why a month differs, and plans a year.
import { expect, test } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

test('walks the month down to a request', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Chargeback, /);
  await expect(page.getByText('✓ agrees')).toBeVisible();
  await expectAccessible(page);

  const row = page.getByRole('row', { name: /Perception platform/ });
  const actual = await row.getByRole('link').nth(2).textContent();
  expect(actual).toMatch(/^[\d,]+\.\d{2}$/);
  await row.getByRole('link').nth(2).click();
  await expect(page).toHaveURL(/\/requests\?from=.*node=CC-4100/);
  await expect(page.getByLabel('Cost center')).toHaveValue('CC-4100');
  await expectAccessible(page);

  await page.getByLabel('State').selectOption('complete');
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page).toHaveURL(/state=complete/);
  await page.locator('tbody a[data-row]').first().click();
  await expect(page.getByRole('heading', { name: 'Charge by class' })).toBeVisible();
  await expect(page.getByText(/BU-10 \/ CC-4100/)).toBeVisible();
  await expectAccessible(page);
  expect(complaints).toEqual([]);
});

test('looks at the month from every side', async ({ page }) => {
  await signIn(page, 'finance_admin');
  const total = await page.locator('tfoot .num').first().textContent();
  for (const tab of ['Project', 'Developer', 'Model', 'Virtual key']) {
    await page.getByRole('navigation', { name: 'Group by' }).getByRole('link', { name: tab }).click();
    await expect(page.getByRole('heading', { name: `By ${tab.toLowerCase()}` })).toBeVisible();
    await expect(page.locator('tfoot .num').first()).toHaveText(total!);
  }
  await expectAccessible(page);
  await page.locator('a[rel=prev]').click();
  await expect(page).toHaveURL(/period=\d{4}-\d{2}/);
  await expect(page).toHaveURL(/group_by=key/);
  await page.getByText('The same as a table').click();
  await expect(page.getByRole('columnheader', { name: 'A month before' })).toBeVisible();
});

test('exports what is shown', async ({ page }) => {
  await signIn(page, 'finance_admin');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  expect(download.suggestedFilename()).toMatch(/^chargeback-meridian-\d{4}-\d{2}-node\.csv$/);
  const lines = readFileSync(await download.path(), 'utf8').trim().split('\n');
  expect(lines[0]).toContain('actual_usd');
  expect(lines.length).toBeGreaterThan(12);
});

test('uses the keyboard alone', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('#main')).toBeFocused();

  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();

  await page.keyboard.press('j');
  await expect(page.getByRole('link', { name: 'Autonomy' })).toBeFocused();
  await page.keyboard.press('j');
  await expect(page.getByRole('link', { name: 'Perception platform' })).toBeFocused();
  await page.keyboard.press('k');
  await expect(page.getByRole('link', { name: 'Autonomy' })).toBeFocused();

  await page.getByRole('button', { name: 'Collapse Autonomy' }).press('Enter');
  await expect(page.getByRole('link', { name: 'Perception platform' })).toBeHidden();
  await page.getByRole('button', { name: 'Expand Autonomy' }).press('Enter');
  await expect(page.getByRole('link', { name: 'Perception platform' })).toBeVisible();

  await page.getByRole('link', { name: 'Autonomy' }).press('Enter');
  await expect(page).toHaveURL(/node=BU-10/);
  await page.keyboard.press('/');
  const search = page.getByRole('searchbox', { name: 'Search' });
  await expect(search).toBeFocused();
  await search.fill('autonomy');
  await search.press('Enter');
  await expect(page.getByRole('heading', { name: 'Search' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'BU-10 Autonomy', exact: true })).toBeVisible();
  await expectAccessible(page);

  // Single keys can be turned off.
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.keyboard.press('?');
  await page.getByLabel('Single-key shortcuts on').uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog')).toBeHidden();
});

test('makes a virtual key, sees it once, and ends it', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await page.getByRole('link', { name: 'Virtual keys' }).click();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Make a virtual key' }).click();
  await expectAccessible(page);
  const label = `Journey ${Date.now()}`;
  await page.getByLabel('Label').fill(label);
  await page.getByLabel('Cost center', { exact: true }).selectOption('CC-6400');
  await page.getByLabel('Ends on').fill('2020-01-01');
  await page.getByLabel('Why').fill('a journey');
  await page.getByRole('button', { name: 'Make key' }).click();
  await expect(page.getByRole('alert')).toContainText('in the past');
  await expect(page.getByLabel('Label')).toHaveValue(label);
  await expectAccessible(page);

  await page.getByLabel('Ends on').fill('');
  await page.getByRole('button', { name: 'Make key' }).click();
  await expect(page.getByRole('heading', { name: `${label} is ready` })).toBeVisible();
  const secret = (await page.locator('pre').first().textContent())!.trim();
  expect(secret).toMatch(/^tbk_[a-z0-9]{32}$/);
  await expectAccessible(page);

  await page.getByRole('link', { name: 'I have copied it' }).click();
  await expect(page.getByRole('heading', { name: label, level: 1 })).toBeVisible();
  await expect(page.getByText(secret)).toHaveCount(0);
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Rotate' }).click();
  await expect(page.getByText('both count as one key')).toBeVisible();
  await page.getByLabel('Why').fill('to see it done');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Rotate this key' }).click();
  const second = (await page.locator('pre').first().textContent())!.trim();
  expect(second).toMatch(/^tbk_[a-z0-9]{32}$/);
  expect(second).not.toBe(secret);
  await page.getByRole('link', { name: 'I have copied it' }).click();
  await expect(page.getByRole('region', { name: 'Secrets' }).getByText(/^✓ until /)).toBeVisible();

  await page.goto(`${card().web_url}/keys`);
  await page.getByLabel('Label or last four').fill(label);
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page).toHaveURL(/q=Journey/);
  await page.getByRole('link', { name: `Revoke ${label}` }).click();
  await expect(page.getByText('It cannot be undone')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('Why').fill('the journey is over');
  await page.getByRole('button', { name: 'Revoke this key' }).click();
  await expect(page.getByText('× Revoked').first()).toBeVisible();
  await expect(page.getByRole('cell', { name: 'the journey is over' })).toBeVisible();
  await expectAccessible(page);
});

test('signs out', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await page.locator('summary', { hasText: 'Finance admin' }).click();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await expectAccessible(page);
  await page.goBack();
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
});

test.describe('without script', () => {
  test.use({ javaScriptEnabled: false });
  test('everything still works', async ({ page }) => {
    await signIn(page, 'finance_admin');
    await expect(page.getByRole('link', { name: 'Lidar fusion' })).toBeVisible();
    await page.getByRole('link', { name: 'All requests' }).click();
    await page.getByLabel('Cost center').selectOption('CC-5200');
    await page.getByRole('button', { name: 'Filter' }).click();
    await expect(page).toHaveURL(/node=CC-5200/);
    await expect(page.getByRole('button', { name: /^Copy/ })).toHaveCount(0);
    await page.locator('summary', { hasText: 'Finance admin' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  });
});

test('reads the prices and proposes a discount that the controller turns down', async ({ page, browser }) => {
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Prices' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Prices');
  await expect(page.getByRole('cell', { name: 'above 100,000' })).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('Model').selectOption('claude-opus-4-6');
  await page.getByLabel('In force').selectOption('past');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(/era=past/);
  await expect(page.getByRole('cell', { name: '225.00' })).toBeVisible();

  await page.getByLabel('Per cent off list').fill('12.34');
  await page.getByLabel('From, UTC day').fill('2031-01-01');
  await page.getByLabel('Why').fill('a contract to come');
  await page.getByRole('button', { name: 'Propose' }).click();
  await expect(page.getByText('12.34% off list')).toBeVisible();
  await expect(page.getByText('You proposed this')).toBeVisible();
  await expectAccessible(page);
  expect(complaints).toEqual([]);

  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await controller.goto(page.url());
  await controller.getByRole('textbox', { name: 'Why' }).fill('not before it is signed');
  await controller.getByRole('button', { name: 'Reject' }).click();
  await expect(controller.getByText('× Rejected')).toBeVisible();
  await expect(controller.getByText('not before it is signed')).toBeVisible();
  await expectAccessible(controller);
});

test('reads the month against plan, the month before and its end', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  const figures = page.locator('dl.figures');
  await expect(figures.getByText(/^Against plan, /)).toBeVisible();
  await expect(figures.getByText('✓ agrees')).toBeVisible();
  await expect(page.getByRole('columnheader', { name: 'Plan to date' }).first()).toBeVisible();
  await expect(page.getByRole('row', { name: /Perception platform/ }).getByRole('img')).toHaveAttribute('aria-label', /of the month's plan used, \d+% of days gone/);

  await page.goto(`${card().web_url}/?period=${lastMonth()}`);
  await figures.getByRole('link', { name: /^price .* points$/ }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Why .* differs from /);
  await expect(page.getByRole('heading', { name: 'What the parts are' })).toBeVisible();
  await expectAccessible(page);

  await page.getByRole('link', { name: 'Chargeback' }).first().click();
  await page.locator('section[aria-labelledby=trend] summary').click();
  await expect(page.locator('section[aria-labelledby=trend]').getByRole('columnheader', { name: 'Variance' })).toBeVisible();
  await page.getByRole('combobox', { name: 'Month' }).selectOption(lastMonth());
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page).toHaveURL(new RegExp(`period=${lastMonth()}`));
  await expectAccessible(page);
  const [archive] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'with manifest' }).click()]);
  expect(archive.suggestedFilename()).toMatch(/^chargeback-meridian-.*\.zip$/);
  expect(complaints).toEqual([]);
});

function lastMonth(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString().slice(0, 7);
}

test('plans a year in the grid and from a file, by keyboard', async ({ page }) => {
  const complaints = watch(page);
  const year = new Date().getUTCFullYear() + 1;
  await signIn(page, 'finance_admin');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Plan' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Plan, /);
  await expect(page.getByText('✓ In force')).toBeVisible();
  await expectAccessible(page);

  await page.goto(`${card().web_url}/plan/edit?year=${year}-01`);
  await expectAccessible(page);
  const amount = String(1000 + (Date.now() % 9000));
  await page.getByLabel(`CC-4100 Jan ${year}`).fill('much');
  await page.getByLabel(`CC-4100 Jan ${year}`).press('ArrowDown');
  await expect(page.getByLabel(`P-4100-07 Jan ${year}`)).toBeFocused();
  await page.keyboard.type(amount);
  await page.getByRole('button', { name: 'Check what changes' }).press('Enter');
  await expect(page.getByRole('alert')).toContainText('1 error');
  await expect(page.getByLabel(`CC-4100 Jan ${year}`)).toHaveValue('much');
  await expectAccessible(page);
  await page.getByLabel(`CC-4100 Jan ${year}`).fill('$1,250.50');
  await page.getByRole('button', { name: 'Check what changes' }).press('Enter');
  await expect(page.getByText('Nothing is written yet')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('Why').fill('a journey');
  await page.getByRole('button', { name: /^Approve/ }).press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Plan, ${year}`);
  await expect(page.getByRole('cell', { name: 'a journey' }).first()).toBeVisible();

  const [exported] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  const file = readFileSync(await exported.path(), 'utf8');
  expect(file).toContain('1250.50');
  await page.goto(`${card().web_url}/plan/import?year=${year}-01`);
  await page.getByLabel('CSV file').setInputFiles({ name: 'plan.csv', mimeType: 'text/csv', buffer: Buffer.from(file.replace('1250.50', 'x').replace('CC-6400', 'CC-9999')) });
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByRole('alert')).toContainText('2 errors: nothing was taken');
  await expect(page.getByText('No node has the code "CC-9999"')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('CSV file').setInputFiles({ name: 'plan.csv', mimeType: 'text/csv', buffer: Buffer.from(file.replace('1250.50', String(2000 + (Date.now() % 7000)))) });
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await page.getByLabel('Why').fill('from the board');
  await page.getByRole('button', { name: /^Approve/ }).click();
  await expect(page.getByText('✓ In force')).toBeVisible();
  await expect(page.getByRole('cell', { name: 'from the board' }).first()).toBeVisible();
  // A refused form is a page with status 422, which the browser notes.
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
});

test('what is printed carries the company, its manifest and the line at the foot', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.getByRole('link', { name: 'Settings', exact: true }).click();
  await page.getByLabel('Legal name').fill('Meridian Robotics Incorporated');
  const line = `For Meridian and its auditors only, since ${Date.now()}`;
  await page.getByLabel('Confidentiality line').fill(line);
  await page.getByLabel('Accent').fill('#ffae66');
  await page.locator('#branding-reason').fill('the papers of the company');
  await page.getByRole('button', { name: 'Change what is printed' }).click();
  await expect(page.getByRole('alert')).toContainText('has a contrast of 1.82:1 on paper');
  await page.getByLabel('Accent').fill('#a84a00');
  await page.getByLabel(/^Logo/).setInputFiles({ name: 'logo.png', mimeType: 'image/png', buffer: await page.screenshot({ clip: { x: 0, y: 0, width: 120, height: 40 } }) });
  await page.getByRole('button', { name: 'Change what is printed' }).click();
  await expect(page.getByRole('img', { name: /^How it prints: at the head the logo and Meridian Robotics Incorporated/ })).toBeVisible();
  await expectAccessible(page);
  await page.goto(card().web_url + '/requests');
  await expect(page.locator('.paper-head')).toBeHidden();
  await page.emulateMedia({ media: 'print' });
  await expect(page.locator('.paper-head .legal')).toHaveCSS('color', 'rgb(168, 74, 0)');
  expect(await page.locator('.paper-head img').evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(120);
  await expect(page.locator('.paper-foot')).toHaveText(line);
  await expect(page.locator('.manifest')).toContainText('one page of a longer list');
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeHidden();
  // A refused form is a page with status 422, which the browser notes.
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
});
