import { startModelServer } from '../../../kit/http-start.ts';
import { httpSuite } from '../../../kit/http-suite.ts';

httpSuite(() => startModelServer());
