// A client in another language: it starts an experiment and follows it to its end. It knows nothing
// of FedSiege but the contract in protos/.
//
//     npm install --prefix examples --no-save --no-package-lock @grpc/grpc-js @grpc/proto-loader
//     node examples/client.mjs localhost:50052

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const definition = loader.loadSync("fedsiege/v1/simulator.proto", {
  includeDirs: [join(root, "protos")],
  keepCase: true,
  defaults: true,
  enums: String,
  oneofs: true,
});
const { SimulatorService } = grpc.loadPackageDefinition(definition).fedsiege.v1;
const address = process.argv[2] ?? "localhost:50052";
const simulator = new SimulatorService(address, grpc.credentials.createInsecure());

// google.protobuf.Struct, a JSON object, to and from what proto-loader makes of it.
const struct = (settings) => ({
  fields: Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      typeof value === "number" ? { numberValue: value } : { stringValue: String(value) },
    ]),
  ),
});
const object = ({ fields }) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value[value.kind]]));

const settings = { attack: 0.2, clients: 10, rounds: 3, dataset: "digits", rule: "median" };
simulator.StartExperiment({ spec: struct(settings) }, (error, response) => {
  if (error) {
    console.error(error.details); // such as: ATTACK=1.2 is not possible: a fraction from 0 to 1
    process.exit(1);
  }
  const { experiment_id } = response.experiment;
  console.log(`started ${experiment_id}`);
  const events = simulator.WatchExperiment({ experiment_id, from_round: 0 });
  events.on("data", (event) => {
    if (event.event === "entry") {
      const { round, accuracy, close_reason } = object(event.row);
      console.log(`round ${round}: accuracy ${accuracy.toFixed(3)} ${close_reason ?? ""}`.trimEnd());
    } else {
      console.log(event.experiment.state, event.experiment.problem);
    }
  });
  events.on("error", ({ details }) => {
    console.error(details);
    process.exit(1);
  });
  events.on("end", () => simulator.close());
});
