// A server that opens a connection for each request and closes it afterwards, as `hosts.py` runs it: file, extension, a table.
import { DuckDBInstance } from "@duckdb/node-api";

const [file, extension, table] = process.argv.slice(2);
const options = { allow_unsigned_extensions: "true" };

async function request(instance, sql) {
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRows();
  } finally {
    connection.closeSync();
  }
}

// Longer than cofi keeps its connections when there is no other.
const pause = () => new Promise((resolve) => setTimeout(resolve, 1500));

let instance = await DuckDBInstance.create(file, options);
await request(instance, `LOAD '${extension}'`);
await request(instance, table);
console.log("trained", (await request(instance, "SELECT * FROM cofi_train('small_1', 4)")).length);
console.log("open", Number((await request(instance, "SELECT len(cofi_user_factors(1))"))[0][0]));

// Without a connection for a while: what was read still answers, and all else says what to do.
await pause();
const remembered = Number((await request(instance, "SELECT len(cofi_user_factors(1))"))[0][0]);
let refused = false;
try {
  await request(instance, "CALL cofi_train('small_1', 5)");
} catch (error) {
  refused = String(error).includes("SET GLOBAL cofi_keep_connection = true");
}
console.log("anew", remembered, refused);
instance.closeSync();

instance = await DuckDBInstance.create(file, options);
await request(instance, `LOAD '${extension}'`);
await request(instance, "SET GLOBAL cofi_keep_connection = true");
for (const n_factors of [5, 6]) {
  await pause();
  await request(instance, `CALL cofi_train('small_1', ${n_factors})`);
}
console.log("kept", Number((await request(instance, "SELECT len(cofi_user_factors(1))"))[0][0]));
await request(instance, "SET GLOBAL cofi_keep_connection = false");
instance.closeSync();
console.log("done");
