/**
 * One example for each subscription, and a query. With the facts of a demo each runs at once; without them, comments
 * say what to fill in.
 *
 * @typedef {{ apiKey: string, authorization: string, paymentRequest: string, paymentHash: string }} Facts
 */

const json = (value) => JSON.stringify(value, null, 2);

const withKey = (facts) =>
  facts
    ? json({ 'X-API-KEY': facts.apiKey })
    : `{
  // Made by: tidings keys create --account <account>
  // "X-API-KEY": "blink_…"
}`;

const withToken = (facts) =>
  facts
    ? json({ Authorization: facts.authorization, connection_id: 'playground' })
    : `{
  // A token with the claim of a rewards user
  // "Authorization": "Bearer …",
  "connection_id": "playground"
}`;

const nothing = () => '{}';

const invoice = (name, field, input, argument, looks) => ({
  name,
  query: `# What becomes of an invoice: PENDING, then PAID or
# EXPIRED. Which one is in the variables, below.
subscription ${name}($input: ${input}!) {
  ${field}(input: $input) {
    status
    paymentHash
    paymentRequest
    paymentPreimage
    errors {
      message
    }
  }
}
`,
  variables: (facts) =>
    facts
      ? json({ input: { [argument]: facts[argument] } })
      : `{
  "input": {
    // ${looks}
    "${argument}": ""
  }
}`,
  headers: nothing,
  init: nothing,
});

export const examples = [
  {
    name: 'realtimePrice',
    query: `# What one sat and one US cent cost, at each change:
# base / 10^offset minor units. Run it with Ctrl-Enter.
subscription realtimePrice($input: RealtimePriceInput!) {
  realtimePrice(input: $input) {
    realtimePrice {
      timestamp
      btcSatPrice {
        base
        offset
      }
      usdCentPrice {
        base
        offset
      }
      denominatorCurrencyDetails {
        id
        symbol
      }
    }
    errors {
      message
    }
  }
}
`,
    variables: () => json({ input: { currency: 'EUR' } }),
    headers: nothing,
    init: nothing,
  },
  {
    name: 'price',
    query: `# What 1000 sats cost in US cents, at each change.
subscription price($input: PriceInput!) {
  price(input: $input) {
    price {
      base
      offset
      currencyUnit
      formattedAmount
    }
    errors {
      message
    }
  }
}
`,
    variables: () =>
      json({ input: { amount: 1000, amountCurrencyUnit: 'BTCSAT', priceCurrencyUnit: 'USDCENT' } }),
    headers: nothing,
    init: nothing,
  },
  {
    name: 'myUpdates',
    query: `# Payments of an account, and prices in its currency.
# The account's API key is in the init payload, below.
subscription myUpdates {
  myUpdates {
    update {
      __typename
      ... on RealtimePrice {
        timestamp
        btcSatPrice {
          base
          offset
        }
      }
      ... on Price {
        formattedAmount
      }
      ... on LnUpdate {
        status
        transaction {
          ...settled
        }
      }
      ... on OnChainUpdate {
        txNotificationType
        transaction {
          ...settled
        }
      }
      ... on IntraLedgerUpdate {
        txNotificationType
        transaction {
          ...settled
        }
      }
    }
    errors {
      message
    }
  }
}

fragment settled on Transaction {
  status
  direction
  settlementAmount
  settlementCurrency
  settlementDisplayAmount
  settlementDisplayCurrency
}
`,
    variables: nothing,
    headers: nothing,
    init: withKey,
  },
  invoice(
    'invoiceByRequest',
    'lnInvoicePaymentStatusByPaymentRequest',
    'LnInvoicePaymentStatusByPaymentRequestInput',
    'paymentRequest',
    'A BOLT11 invoice: lnbc…',
  ),
  invoice(
    'invoiceByHash',
    'lnInvoicePaymentStatusByHash',
    'LnInvoicePaymentStatusByHashInput',
    'paymentHash',
    '64 hex digits',
  ),
  invoice(
    'invoice',
    'lnInvoicePaymentStatus',
    'LnInvoicePaymentStatusInput',
    'paymentRequest',
    'A BOLT11 invoice: lnbc…',
  ),
  {
    name: 'StatusUpdate',
    query: `# What happens to a user of a reward program. A token and
# a connection_id are in the init payload, below.
subscription StatusUpdate {
  StatusUpdate {
    Type
    Timestamp
    UserID
    Data
  }
}
`,
    variables: nothing,
    headers: nothing,
    init: withToken,
  },
  {
    name: 'query',
    query: `# A query goes by POST. The API key is in the headers,
# below; "me" is null without one.
query query($currency: DisplayCurrency) {
  realtimePrice(currency: $currency) {
    timestamp
    btcSatPrice {
      base
      offset
    }
  }
  me {
    id
    defaultAccount {
      displayCurrency
      wallets {
        id
        walletCurrency
        balance
      }
    }
  }
}
`,
    variables: () => json({ currency: 'USD' }),
    headers: withKey,
    init: nothing,
  },
];
